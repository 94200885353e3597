"""The rules of access, said again in the plainest way: every binding is looked at for every question. Held against the index that is used, and shares nothing with it."""

from __future__ import annotations

from fnmatch import fnmatchcase

from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import BUILT_IN, Binding, Effect, Role, RoleOf, Rule

CLUSTER_KINDS = {"nodes", "members", "decisions", "barn", "authority", "issuers"}


def is_of_the_cluster(verb: str, resource: str) -> bool:
    return resource in CLUSTER_KINDS or (resource == "herds" and verb in {"create", "delete"})


class Naive:
    def __init__(self, roles: list[Role], bindings: list[Binding]) -> None:
        self.roles = roles
        self.bindings = bindings

    def rules(self, binding: Binding) -> tuple[Rule, ...]:
        if binding.role_of is RoleOf.BUILT_IN:
            return BUILT_IN[binding.role].rules
        herd = "" if binding.role_of is RoleOf.CLUSTER else binding.herd
        found = [one for one in self.roles if (one.herd, one.name) == (herd, binding.role)]
        return found[0].rules if found else ()

    def has(self, who: Principal, herd: str, now: int) -> list[tuple[Rule, str, str, int]]:
        """Return rules with binding, herd and place, that hold for somebody in a herd (or "": the cluster) at a time."""
        if who.kind is PrincipalKind.OPERATOR:
            return [(Rule(("*",), ("*",), fields=("*",)), "", "*", 0)]
        if who.kind is PrincipalKind.NODE:
            return [(Rule(("get", "watch"), ("nodes",), (who.name,)), "", "*", 0)]
        if who.kind is PrincipalKind.SLICE:
            home, run, name, _ = who.name.split("/")
            if herd != home:
                return []
            return [
                (Rule(("get",), ("runs",), (run,)), "", home, 0),
                (Rule(("get",), ("slices",), (f"{run}/{name}",)), "", home, 1),
            ]
        if who.kind is PrincipalKind.SERVICE_ACCOUNT and not who.name.startswith(f"{who.herd}/"):
            return []
        names = {f"{who.kind.value}:{who.name}"}
        if who.kind is PrincipalKind.USER:
            names |= {f"group:{group}" for group in who.groups}
        return [
            (rule, binding.name, binding.herd, place)
            for binding in self.bindings
            if names & set(binding.subjects)
            and binding.herd in {herd, "*"}
            and (binding.expires_ms == 0 or now < binding.expires_ms)
            for place, rule in enumerate(self.rules(binding))
        ]

    def inside(
        self, who: Principal, verb: str, resource: str, herd: str, name: str, now: int
    ) -> tuple[bool, str, str, int]:
        """Return whether a herd's bindings allow it, and which of them decided (herd, name, rule)."""
        of_cluster = is_of_the_cluster(verb, resource)
        deciding = []
        for rule, binding, where, place in self.has(who, herd, now):
            if of_cluster and where != "*":
                continue
            if not {verb, "*"} & set(rule.verbs) or not {resource, "*"} & set(rule.resources):
                continue
            if rule.names and not any(fnmatchcase(name, one) for one in rule.names):
                continue
            denies = rule.effect is Effect.DENY
            deciding.append((not denies, bool(rule.names), where == "*", binding, place, where))
        if not deciding:
            return False, "", "", -1
        allowed, _, _, binding, place, where = min(deciding)
        return allowed, where, binding, place

    def decide(
        self, who: Principal, verb: str, resource: str, herd: str, name: str, now: int
    ) -> tuple[bool, str, str, int]:
        if who.until_s and now >= who.until_s * 1000:
            return False, "", "", -1
        of_cluster = is_of_the_cluster(verb, resource)
        if who.herd and (of_cluster or not herd):
            return False, "", "", -1
        there = self.inside(who, verb, resource, herd, name, now)
        if not there[0] or not who.herd or herd == who.herd:
            return there
        out = self.inside(who, "cross", "herds", who.herd, herd, now)
        return there if out[0] else (False, *out[1:])

    def hides(
        self, who: Principal, verb: str, resource: str, herd: str, name: str, now: int
    ) -> bool:
        """Say whether rules with names keep something from somebody: one denies it to him, or he may do it to others."""

        def may(one: str) -> bool:
            return self.decide(who, verb, resource, herd, one, now)[0]

        speaking = [
            rule
            for rule, _, where, _ in self.has(who, herd, now)
            if {verb, "*"} & set(rule.verbs)
            and {resource, "*"} & set(rule.resources)
            and (where == "*" or not is_of_the_cluster(verb, resource))
        ]
        if may(name) or any(not rule.names for rule in speaking if rule.effect is Effect.DENY):
            return False
        barred = any(
            fnmatchcase(name, one)
            for rule in speaking
            if rule.effect is Effect.DENY
            for one in rule.names
        )
        return barred or any(map(may, (one for rule in speaking for one in rule.names)))

    def sees(self, who: Principal, mark: str, herd: str, now: int) -> bool:
        if who.until_s and now >= who.until_s * 1000:
            return False
        is_away = who.herd not in {"", herd}
        if is_away and not (herd and self.inside(who, "cross", "herds", who.herd, herd, now)[0]):
            return False
        found = [rule for rule, *_ in self.has(who, herd, now)]
        speaking = [rule for rule in found if any(fnmatchcase(mark, one) for one in rule.fields)]
        return bool(speaking) and all(rule.effect is Effect.ALLOW for rule in speaking)

# Trade events from the desktops of a trading floor: checked, masked, and split.

@herd("markets")
@param("desk", default="equities")
Feature: Trade events

  Events come from many applications; some are no trades. A trade names a person,
  so what leaves the floor is masked.

  Background:
    Given a calendar of trading days

  @module(layer="intake", domain="markets", owner="floor-data")
  Scenario: Take in events
    Metadata:
      purpose: every event that is a trade
      compliance: [MiFID-II, GDPR]
      classification: confidential
      contract: TradeEvent
      contract_version: 1.0.0

    Given source stream "Floor events" from "jsonl:incoming/events.jsonl"
    When events are received
      - Decode each event
      - Keep valid events as "Valid trades" (sink: out/intake/trades.parquet)
      - Set others aside as "Invalid events" (deadletter: out/dead/events.jsonl)
    Then records must be at least 1
    And rejected ratio must be below 50%
    And the desk is told about invalid events

    GoldenTest:
      input: incoming/events.jsonl
      output: golden/trades.csv
      validation: exact match
      key: [id]

  @module(layer="masked", domain="markets", owner="floor-data")
  Scenario: Mask who traded
    @source("parquet:out/intake/trades.parquet", as=events)
    @source("csv:incoming/desks.csv", as=desks)

    # The graph: both sides of the split read what trades are worth, and the totals join them again.
    @step("valued", id=safe, after=events)
    @requires(cpu="250m", memory=256Mi, network="none")
    @meta(reviewed="2026-11")
    @contract("SafeTrade")
    @sink("sf:markets.safe")
    @golden(
      "golden/safe.csv",
      key=[id],
      tolerance=1e-6,
      input="incoming/events.jsonl=incoming/events.jsonl",
    )
    @sink("csv:out/large.csv", when "notional >= 100000")
    @golden(
      "golden/large.csv",
      key=[id],
      tolerance=1e-6,
      input="incoming/events.jsonl=incoming/events.jsonl",
    )

    @step(
      sql="SELECT desk, symbol, sum(notional) AS notional, count(*) AS trades FROM input JOIN desks USING (desk) GROUP BY ALL ORDER BY ALL",
      id=totals,
      after=safe,
    )
    @sink("csv:out/${desk}/totals.csv", after=totals)
    @golden(
      "golden/totals.csv",
      key=[desk, symbol],
      tolerance=1e-6,
      input="incoming/events.jsonl=incoming/events.jsonl",
    )

    Then nobody outside the floor can see who traded

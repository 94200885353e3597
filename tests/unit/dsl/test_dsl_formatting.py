"""The one way in which a file is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.dsl.formatting import formatted
from runink.errors import Invalid

ROOT = Path(__file__).parents[3]

MESSY = '''\ufeff\r
\r
# About it.
@herd( "a" )
Feature:   On time  \r
what it is
 - said twice
Background:
Given x
# the first one
@module( layer = "bronze" ,)
Scenario:Take in
@source( "csv://a.csv", nulls = [ "NA" , "" ] )   # from the airport
// what follows is long
@source("csv://data/a-very-long-name-of-a-file.csv", as=planes, nulls=["NA", ""], delimiter=";", isolate=true) # tail
@step( # a program
  run="x", # of ours


  // and how it talks
  format=jsonl
)
@step(sql="""SELECT 1
   FROM input""")
@retry(3) @timeout( 5m )


Given   these
| a|name |
|1| long \\| one|
And this
      ```json
      {"a":
        1}
      ```
Then:
   - first
   -  name:  id
      type:   string


---
@checkpoint()
  Scenario Outline: For <x>
  * it is <x>
  Examples:
  |x|
  |1|
Rule: late
Example: last
Given y
# the end'''

NEAT = '''# About it.
@herd("a")
Feature: On time
  what it is
  - said twice

  Background:
    Given x

  # the first one
  @module(layer="bronze")
  Scenario: Take in
    @source("csv://a.csv", nulls=["NA", ""])  # from the airport
    // what follows is long
    @source(
      "csv://data/a-very-long-name-of-a-file.csv",
      as=planes,
      nulls=["NA", ""],
      delimiter=";",
      isolate=true,
    )  # tail
    @step(
      # a program
      run="x",  # of ours
      // and how it talks
      format=jsonl,
    )
    @step(sql="""SELECT 1
   FROM input""")
    @retry(3) @timeout(5m)

    Given these
      | a | name        |
      | 1 | long \\| one |
    And this
      ```json
      {"a":
        1}
      ```
    Then:
      - first
      - name:  id
        type: string

---

  @checkpoint
  Scenario Outline: For <x>
    * it is <x>
    Examples:
      | x |
      | 1 |

  Rule: late

    Example: last
      Given y
      # the end
'''


def test_a_file_is_written_in_one_way() -> None:
    assert formatted(MESSY, "x.dsl") == NEAT
    assert formatted(NEAT, "x.dsl") == NEAT


def test_nothing_stays_nothing() -> None:
    assert formatted("", "x.dsl") == ""
    assert formatted("\n  \n", "x.dsl") == ""


def test_without_a_feature_scenarios_stand_at_the_first_column() -> None:
    assert formatted("  Scenario: A\n  Given x", "x.dsl") == "Scenario: A\n  Given x\n"


def test_annotations_on_one_line_part_where_they_belong_to_different_scenarios() -> None:
    text = 'Scenario: A\n@sink("x") @module(layer=b)\nScenario: B'
    assert formatted(text, "x.dsl") == (
        'Scenario: A\n  @sink("x")\n\n@module(layer=b)\nScenario: B\n'
    )


def test_what_is_wrong_but_can_be_read_is_formatted() -> None:
    assert formatted("@sorce( 1 )", "x.dsl") == "@sorce(1)\n"


@pytest.mark.parametrize("text", ["@a(", "nothing", "@a(b=)", "Scenario: A\nGiven", "@a(\x00)"])
def test_what_cannot_be_read_is_refused_with_what_is_wrong(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        formatted(text, "x.dsl")
    assert caught.value.findings
    assert caught.value.code == "not_formatted"


def test_the_first_example_is_written_so() -> None:
    path = (
        ROOT / "examples/flights/features/flights.dsl"
    )  # the others show what may be written, too
    assert formatted(path.read_text(), path.name) == path.read_text()


def test_every_example_can_be_formatted() -> None:
    for path in (ROOT / "examples").rglob("*.dsl"):
        assert formatted(formatted(path.read_text(), path.name), path.name)

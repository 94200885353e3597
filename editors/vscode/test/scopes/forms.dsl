# Everything that a pipeline can hold, for its colours.
// Another note.
@herd("analytics")
@param("day", default="2013-01-01")
Feature: Trade events, masked

  Metadata:
    purpose: "who trades what"   # a note
    slo: 5m
    compliance: [gdpr, sox]
    lineage_tracking: true

  Background:
    Given the contract: contracts/trades.py:Trade

---

  @module(layer="bronze", domain=trading)
  Scenario Outline: Take in <venue>
    @source("kafka:topics.<venue>", @window(5m))
    @source(type=kafka, topic="x", format=json) # a note behind it
    @step("Normalise", as=clean, from=[a, b], isolate=true)
    @step(run="./bin/mask --fields \"name\"", format=csv)
    @requires(cpu=250m, memory=512Mi, share=20%, label="gpu")
    @step(sql="""
        SELECT venue, sum(amount) AS amount -- a comment of SQL's
        FROM input WHERE day = '${day}' AND note <> '$${'
        GROUP BY ALL
    """, as=sums)
    @step(sql="SELECT ')' FROM \"input\" WHERE x = ${day}")
    @sink("parquet://out/${day}.parquet", mode=append, when "record.amount * 1.5 >= 100 && !has(note) || venue in ['X', 'Y'] ? true : size(note) < 3")
    @sink("sf://audit" with "role=ops")
    @assert("records > 0 && null_ratio(amount) <= 0.03")
    @assert(condition="rejected == 0")
    @golden("golden/x.csv", key=["venue"], tolerance=1e-9)
    Given source stream "trades" from "kafka:topics.trades"
    When each <venue> is read
    * nothing else
    Then:
      - "trades" (sink: target/x.csv)
      - On failure, emit alert to "ops"
    """
    A note over
    several lines. Given nothing
    """

    Examples:
      | venue | note  |
      | X     | a\|b  |

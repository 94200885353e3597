# The same flights in three layers: as they came, clean, and as a table that a manager reads.

@feature(name="Flights in three layers", herd="aviation")
Feature: Flights in three layers

  What the airport sends is kept as it came, and only what a layer promises is
  built upon. Every layer has a contract, and names what it keeps by a dataset.

  Metadata:
    owner: flight-data
    classification: internal

---

  @module(layer="bronze", domain="aviation")
  Scenario: Take in what the airport sends
    Metadata:
      purpose: every row that is a flight, and none that is not
      compliance: [internal-audit]
    @source(
      type=csv,
      path="incoming/flights.csv",
      nulls=["NA", ""],
      @meta(region="us-east", vendor="port-authority"),
    )
    @sink("sf:bronze.flights")
    Given the contract: RawFlight
    When a row is no flight
      - it goes to "Not a flight" (deadletter: out/dead/flights.jsonl)
    Then no schema drift must be detected
    And rejected ratio must be at most 30%
    And somebody asks the airport about the others
    GoldenTest:
      input: incoming/flights.csv
      output: golden/bronze.csv
      key: [carrier, flight, day]

---

  @module(layer="silver", domain="aviation")
  Scenario: Say who flew, and how late
    @source("sf://bronze.flights")
    @source("csv:incoming/airlines.csv", as=airlines)
    @contract("CleanAirline", on=airlines)
    @step("with_airline")
    @requires(cpu=500m, memory="512Mi")
    @contract("CleanFlight")
    @sink("sf:silver.flights")
    @sink("sf:silver.late", when "delay_minutes > 30 && !cancelled")
    @golden(
      "golden/late.csv",
      key=[carrier, flight, day],
      input="incoming/flights.csv=incoming/flights.csv",
    )
    @assert("records > 0")

---

  @module(layer="gold", domain="aviation")
  Scenario: Delay by airline
    @source("sf:silver.flights")
    @step(sql="SELECT airline, count(*) AS flights, count(*) FILTER (cancelled) AS cancelled, avg(delay_minutes) AS delay_minutes FROM input GROUP BY ALL ORDER BY ALL")
    @contract("AirlineDelay")
    @sink("sf:gold.delays")
    @golden(
      "golden/delays.csv",
      key=[airline],
      tolerance=1e-9,
      input="incoming/flights.csv=incoming/flights.csv",
    )

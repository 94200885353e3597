# The whole flights pipeline as six processes: parse, check, join, write, group, publish.

Feature: Flights for the benchmark

  Scenario: whole
    @source("csv://data/flights.csv", nulls=["NA"], isolate=true)
    @source("csv://data/planes.csv", as=planes, nulls=["NA"])
    @contract("contracts/bench.py:Departure")
    @deadletter("parquet://out/dead.parquet")
    @step("with_plane", as=joined, isolate=true)
    @sink("parquet://out/good.parquet", from=joined, isolate=true)
    @step(sql="SELECT carrier, month, manufacturer, count(*) AS flights, sum(dep_delay) AS delay_minutes, sum(seats) AS seats FROM input GROUP BY ALL", from=joined, isolate=true)
    @sink("parquet://out/groups.parquet")

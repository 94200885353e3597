@herd("never closed)
@param('day', default=“2013”, a=b;)
Feature: What cannot be read
  Scenario: An open bracket does not colour what follows
    @step(sql="SELECT 1
    @source("csv://x.csv", nulls=["NA"
  Scenario: The next one
    Given a sentence

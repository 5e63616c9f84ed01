"""What the hub keeps, and the only folder that speaks SQL.

``tables`` names every table, ``database`` opens one and runs transactions, ``migrations`` bring an old one up to date,
``backup`` copies one while it is used. The other modules hold the statements, one noun each; they take a connection, so
that whoever calls them decides what moves together.
"""

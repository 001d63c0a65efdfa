"""What programs need of devices that need not be there: compiled for them, and set beside their data sheets.

`chips` has the data sheets, `topologies` makes devices to compile for, `cost` reads compiled programs, `report` shows
what they need beside what the chips have.
"""

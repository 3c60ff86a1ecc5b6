namespace stopgrad {}

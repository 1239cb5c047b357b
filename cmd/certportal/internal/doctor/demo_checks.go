package doctor

// SampleFile holds the names and passwords of the people of a demo, in its data folder.
const SampleFile = "people.json"

package config

import _ "embed"

//go:embed example.yaml
var example string

// Example returns all settings as YAML: each with its meaning and its default. What
// has no default is commented out. The text is generated from the declarations
// (example_test.go).
func Example() string { return example }

//go:build race

package store_test

// raced says that the race detector is on, which makes tests ten times slower.
const raced = true

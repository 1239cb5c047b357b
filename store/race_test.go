//go:build race

package store_test

// raced says that the race detector watches, which takes ten times as long.
const raced = true

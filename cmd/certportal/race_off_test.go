//go:build !race

package main

// underRace says that the race detector looks on.
const underRace = false

//go:build !race

package testkit

// UnderRace says that the race detector is on.
const UnderRace = false

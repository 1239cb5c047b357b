//go:build race

package testkit

// UnderRace reports whether the race detector is on, which takes ten times as long:
// tests of large numbers then try a sample of what they try without it.
const UnderRace = true

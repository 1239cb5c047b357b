//go:build !race

package config

// underRace says that the race detector looks on.
const underRace = false

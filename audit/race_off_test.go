//go:build !race

package audit_test

// underRace says that the race detector looks on.
const underRace = false

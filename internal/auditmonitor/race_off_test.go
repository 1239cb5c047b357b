//go:build !race

package auditmonitor_test

// underRace says that the race detector looks on.
const underRace = false

//go:build race

package auditmonitor_test

// underRace says that the race detector looks on, which takes ten times as long:
// tests then try a sample of what they try whole without it.
const underRace = true

package testkit

import (
	"os"
	"strconv"
	"testing"
)

// Times returns how often a test repeats what it repeats n times by default: n
// times the number in CERTPORTAL_LONG, which "scripts/test long" sets.
func Times(t testing.TB, n int) int {
	t.Helper()
	text := os.Getenv("CERTPORTAL_LONG")
	if text == "" {
		return n
	}
	return n * Must(strconv.Atoi(text))(t)
}

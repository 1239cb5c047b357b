package testkit

import (
	"os"
	"slices"
	"strconv"
	"strings"
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

// Environ is the environment for a portal: that of the tests without their own variables,
// which a portal would refuse as settings that it does not know.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "CERTPORTAL_LONG=") })
}

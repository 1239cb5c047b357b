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

// Either returns short, or long in "scripts/test long", where the bar of a test is a number
// that takes minutes.
func Either(t testing.TB, short, long int) int {
	t.Helper()
	if Times(t, 1) > 1 {
		return long
	}
	return short
}

// Environ is the environment for a portal: that of the tests without their own variables,
// which a portal would refuse as settings that it does not know.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "CERTPORTAL_LONG=") })
}

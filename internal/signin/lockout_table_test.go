package signin_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"certportal/internal/signin"
)

// TestTheTableOfTheLockout compares the table in the documentation with the code.
func TestTheTableOfTheLockout(t *testing.T) {
	text, err := os.ReadFile("../../docs/active-directory.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| `lockoutThreshold` of the domain |")
	table, _, _ = strings.Cut(table, "\n\n")
	if !found {
		t.Fatal("there is no table")
	}
	seen := map[int]bool{}
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			t.Fatalf("line %q", line)
		}
		for _, number := range regexp.MustCompile(`[0-9]+`).FindAllString(cells[1], -1) {
			threshold, _ := strconv.Atoi(number)
			seen[threshold] = true
			if threshold == 0 {
				threshold = signin.FineGrained
			}
			strangers, known, again := signin.ShareTries(threshold, signin.DefaultTries)
			if want := fmt.Sprintf(" %d | %d | %d ", strangers, known, again); strings.Join(cells[2:5], "|") != want {
				t.Errorf("threshold %s: the table says %q, the code %q", number, strings.Join(cells[2:5], "|"), want)
			}
		}
	}
	for threshold := 0; threshold <= signin.FineGrained; threshold++ {
		if !seen[threshold] {
			t.Errorf("threshold %d is not in the table", threshold)
		}
	}
}

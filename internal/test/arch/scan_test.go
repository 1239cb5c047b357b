package arch

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestScanRowsAreInTheDocs: each scan has a row with its outcome in the documents.
func TestScanRowsAreInTheDocs(t *testing.T) {
	script, err := os.ReadFile("../../../scripts/scan")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^(S[0-9]+)\(\)`).FindAllStringSubmatch(string(script), -1)
	if len(rows) != 13 {
		t.Errorf("scripts/scan has %d rows, want 13", len(rows))
	}
	for _, row := range rows {
		if !strings.Contains(string(page), "\n| "+row[1]+" | ") {
			t.Errorf("docs/security.md has no row %s", row[1])
		}
	}
}

// TestGuardedPackagesExist: the packages of which scripts/test cover asks 90 percent are there
// under these names.
func TestGuardedPackagesExist(t *testing.T) {
	script, err := os.ReadFile("../../../scripts/test")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^guarded='(.+)'$`).FindStringSubmatch(string(script))
	if found == nil {
		t.Fatal("scripts/test names no guarded packages")
	}
	guarded, seen := regexp.MustCompile("^("+found[1]+")$"), 0
	for _, p := range packages(t) {
		if guarded.MatchString(p.name()) {
			seen++
		}
	}
	if seen != 10 {
		t.Errorf("%q are %d packages, want 10", found[1], seen)
	}
}

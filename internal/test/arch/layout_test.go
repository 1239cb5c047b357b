package arch

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The top level shows the plan of the module at a glance.
func TestTopLevelHoldsOnlyTheCard(t *testing.T) {
	card := []string{
		"cmd", "web", "templates", "static", "ca", "store", "internal", "docs", "scripts",
		"go.mod", "go.sum", "Dockerfile", "README.md",
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(card, e.Name()) {
			t.Errorf("%s is at the top level: move it under internal, docs or scripts", e.Name())
		}
	}
}

// maxFiles is how many files without tests a package may have.
const maxFiles = 40

func TestPackagesStaySmall(t *testing.T) {
	for _, p := range packages(t) {
		if p.name() != "web" && p.name() != "store" && len(p.GoFiles) > maxFiles {
			t.Errorf("%s has %d files, at most %d: split a subject off into a package of its own", p.name(), len(p.GoFiles), maxFiles)
		}
	}
}

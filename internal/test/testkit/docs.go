package testkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// DocBlocks returns the blocks of code of a language in a page of the docs, which
// administrators copy. It fails when there is none.
func DocBlocks(t testing.TB, page, language string) []string {
	t.Helper()
	folder := Must(os.Getwd())(t)
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			break
		}
		if folder == filepath.Dir(folder) {
			t.Fatal("there is no go.mod above the test")
		}
		folder = filepath.Dir(folder)
	}
	text := Must(os.ReadFile(filepath.Join(folder, "docs", page)))(t)
	var blocks []string
	rest := string(text)
	for {
		_, after, found := strings.Cut(rest, "\n```"+language+"\n")
		if !found {
			break
		}
		block, after, _ := strings.Cut(after, "\n```\n")
		blocks, rest = append(blocks, block), "\n"+after
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return blocks
}

// DocsAgree requires the lines of the blocks of a language in a page of the docs to be in
// a configuration that was tried, but for spaces and the folder of the files.
func DocsAgree(t testing.TB, page, language, docFolder, config, folder string) {
	t.Helper()
	tried := map[string]bool{}
	for line := range strings.Lines(strings.ReplaceAll(config, folder, docFolder)) {
		tried[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, block := range DocBlocks(t, page, language) {
		for line := range strings.Lines(block) {
			if line := strings.Join(strings.Fields(line), " "); !tried[line] {
				t.Errorf("%s says %q, which no test tries", page, line)
			}
		}
	}
}

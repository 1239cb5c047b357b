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
	blocks := blocks(docText(t, page), language)
	if len(blocks) == 0 {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return blocks
}

// DocSections returns the blocks of code of a language in each section of a page of the docs,
// by its heading of the second level. Blocks before the first heading have none.
func DocSections(t testing.TB, page, language string) map[string][]string {
	t.Helper()
	sections := map[string][]string{}
	for i, section := range strings.Split(docText(t, page), "\n## ") {
		heading := ""
		if i > 0 {
			heading, section, _ = strings.Cut(section, "\n")
		}
		sections[heading] = blocks("\n"+section, language)
	}
	return sections
}

// docText reads a page of the folder docs, wherever the test runs.
func docText(t testing.TB, page string) string {
	t.Helper()
	return string(Must(os.ReadFile(filepath.Join(Root(t), "docs", page)))(t))
}

// Root is the folder of the module, above that of the test.
func Root(t testing.TB) string {
	t.Helper()
	folder := Must(os.Getwd())(t)
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		if folder == filepath.Dir(folder) {
			t.Fatal("there is no go.mod above the test")
		}
		folder = filepath.Dir(folder)
	}
}

// blocks returns the blocks of code of a language in a text in Markdown.
func blocks(text, language string) []string {
	var found []string
	for {
		_, after, ok := strings.Cut(text, "\n```"+language+"\n")
		if !ok {
			return found
		}
		block, after, _ := strings.Cut(after, "\n```\n")
		found, text = append(found, block), "\n"+after
	}
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

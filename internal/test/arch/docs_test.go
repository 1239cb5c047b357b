package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs returns the pages that name tests and packages.
func docs(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, name := range append(names, "../../../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[strings.TrimPrefix(name, "../../../")] = string(text)
	}
	return pages
}

// functionsOfTests returns the names of all tests, fuzz targets and benchmarks by
// the folder of their package.
func functionsOfTests(t *testing.T) map[string][]string {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w*)\(`)
	found := map[string][]string{}
	for _, p := range packages(t) {
		files, err := filepath.Glob(filepath.Join("../../..", p.name(), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
				found[p.name()] = append(found[p.name()], m[1])
			}
		}
	}
	return found
}

// A test named in the docs is the proof of a sentence: it must exist. A name may be the
// beginning of several.
func TestDocsNameTestsThatExist(t *testing.T) {
	var all []string
	for _, names := range functionsOfTests(t) {
		all = append(all, names...)
	}
	mentioned := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	for page, text := range docs(t) {
		for _, name := range mentioned.FindAllString(text, -1) {
			if !anyMatches(all, "^"+name) {
				t.Errorf("%s names %s, which does not exist: name the test that shows the same", page, name)
			}
		}
	}
}

// A command in the docs must run at least one test or benchmark in each package.
func TestDocsNameCommandsThatRun(t *testing.T) {
	tests := functionsOfTests(t)
	command := regexp.MustCompile("go test [^`\n]*")
	folder := regexp.MustCompile(`\./([a-z0-9/]+)`)
	pattern := regexp.MustCompile(`-(run|bench) ('[^']*'|\S+)`)
	for page, text := range docs(t) {
		for _, c := range command.FindAllString(text, -1) {
			for _, f := range folder.FindAllStringSubmatch(c, -1) {
				names, ok := tests[f[1]]
				if !ok {
					t.Errorf("%s: %s: there is no package %s with tests", page, c, f[1])
					continue
				}
				for _, m := range pattern.FindAllStringSubmatch(c, -1) {
					want := strings.ReplaceAll(strings.Trim(m[2], "'"), `\|`, "|") // | is escaped in tables
					if want != "^$" && !anyMatches(names, want) {
						t.Errorf("%s: %s: nothing in %s matches %s", page, c, f[1], want)
					}
				}
			}
		}
	}
}

func anyMatches(names []string, pattern string) bool {
	want := regexp.MustCompile(pattern)
	for _, name := range names {
		if want.MatchString(name) {
			return true
		}
	}
	return false
}

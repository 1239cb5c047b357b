package release

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// permissive are the licences of linked modules: all of them let a company use and pass on the
// program, when it passes on the texts. MPL-2.0 asks for the source of its own files, which
// their modules publish. The GNU licences are none of them.
func permissive() []string {
	return []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "public-domain"}
}

// licenceTexts runs scripts/licenses for this machine.
func licenceTexts(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(module, "scripts", "licenses")).Output()
	if err != nil {
		t.Fatalf("scripts/licenses: %v", err)
	}
	return string(out)
}

// licences has a row with a permissive licence for each module of the program, and behind each
// row the texts that it refers to.
func licences(t *testing.T, folder string) {
	text := string(testkit.Must(os.ReadFile(one(t, folder, "*.licenses.txt")))(t))
	rows := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^(\S+ \S+): ([^\[\n]+) ((?:\[\d+\])+)$`).FindAllStringSubmatch(text, -1) {
		rows[m[1]] = strings.Split(m[2], ", ")
		for _, n := range regexp.MustCompile(`\d+`).FindAllString(m[3], -1) {
			if len(licence(text, testkit.Must(strconv.Atoi(n))(t))) < 50 {
				t.Errorf("%s: no text %s", m[1], n)
			}
		}
	}
	linked := slices.Sorted(maps.Keys(rows))
	linked = slices.DeleteFunc(linked, func(row string) bool { return strings.HasPrefix(row, "std ") })
	want := parts(t, folder)
	slices.Sort(want)
	testkit.Equal(t, "modules with a licence", strings.Join(linked, "\n"), strings.Join(want, "\n"))
	testkit.Equal(t, "licence of Go", strings.Contains(text, "\nstd go1."), true)
	for row, kinds := range rows {
		for _, kind := range kinds {
			if !slices.Contains(permissive(), kind) {
				t.Errorf("%s: licence %q", row, kind)
			}
		}
	}
}

// licence is a text by its number.
func licence(text string, number int) string {
	_, rest, _ := strings.Cut(text, "\n["+strconv.Itoa(number)+"] ")
	rest, _, _ = strings.Cut(rest, strings.Repeat("=", 80))
	return rest
}

// TestLicencesRefuse adds modules whose licence no company may link, that have none, or that have
// an unknown one beside a known one. A notice is no licence.
func TestLicencesRefuse(t *testing.T) {
	if testing.Short() {
		t.Skip("lists all packages")
	}
	source := t.TempDir()
	testkit.NoError(t, copySource(module, source))
	vendored := t.TempDir() // all modules come from here
	const mit = "Permission is hereby granted, free of charge, to any person\n"
	for name, texts := range map[string]map[string]string{
		"gnu":    {"COPYING": "GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3, 19 November 2007\n"},
		"none":   {},
		"second": {"LICENSE": mit, "LICENSE.other": "You may use this on Sundays.\n"},
		"notice": {"LICENSE": mit, "NOTICE.txt": "This holds the work of others.\n"},
	} {
		folder := filepath.Join(vendored, name)
		testkit.NoError(t, os.MkdirAll(folder, 0o755))
		texts["go.mod"], texts["x.go"] = "module example.com/"+name+"\n", "package "+name+"\n"
		for file, content := range texts {
			testkit.NoError(t, os.WriteFile(filepath.Join(folder, file), []byte(content), 0o644))
		}
		edit := exec.Command("go", "mod", "edit", "-require=example.com/"+name+"@v0.0.1", "-replace=example.com/"+name+"="+folder)
		edit.Dir = source
		if out, err := edit.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	use := "package main\n\nimport (\n\t_ \"example.com/gnu\"\n\t_ \"example.com/none\"\n\t_ \"example.com/notice\"\n\t_ \"example.com/second\"\n)\n"
	testkit.NoError(t, os.WriteFile(filepath.Join(source, "cmd", "certportal", "use_of_modules.go"), []byte(use), 0o644))
	out, err := exec.Command(filepath.Join(source, "scripts", "licenses")).CombinedOutput()
	if err == nil {
		t.Error("scripts/licenses is content")
	}
	for _, want := range []string{"example.com/gnu v0.0.1: licence GNU", "example.com/none v0.0.1: licence of no known kind",
		"example.com/second v0.0.1: LICENSE.other is of no known kind"} {
		testkit.Contains(t, "scripts/licenses", string(out), want)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "example.com/notice v0.0.1") && strings.Contains(line, "no known kind") {
			t.Errorf("a notice is taken for a licence: %s", line)
		}
	}
}

package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// seededPortal is a data folder with a CA and made-up people.
func seededPortal(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	mustRun(t, "--data", data, "seed", "--certificates", "120")
	return data
}

// listed reads the lines of list --json.
func listed(t *testing.T, data string, args ...string) []listedCertificate {
	t.Helper()
	var rows []listedCertificate
	for line := range strings.Lines(mustRun(t, append([]string{"--data", data, "list", "--json"}, args...)...)) {
		var row listedCertificate
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		rows = append(rows, row)
	}
	return rows
}

// TestDaysAreInTheZoneOfThePages: a day on the command line is the one that pages show, and
// --help says so.
func TestDaysAreInTheZoneOfThePages(t *testing.T) {
	const zone = "Pacific/Kiritimati" // 14 hours ahead of UTC
	data := seededPortal(t)
	all := listed(t, data)
	at := all[len(all)/2].Requested
	day := at.In(testkit.Must(time.LoadLocation(zone))(t)).Format(time.DateOnly)
	var out, errs strings.Builder
	args := []string{"--data", data, "list", "--json", "--from", day, "--to", day}
	code := run(t.Context(), args, streams{strings.NewReader(""), &out, &errs}, map[string]string{"CERTPORTAL_PAGES_TIME_ZONE": zone})
	want := 0
	for _, c := range all {
		if c.Requested.In(testkit.Must(time.LoadLocation(zone))(t)).Format(time.DateOnly) == day {
			want++
		}
	}
	if got := strings.Count(out.String(), "\n"); code != exitDone || got != want || !strings.Contains(out.String(), all[len(all)/2].Serial) {
		t.Errorf("exit %d, %d rows of %s, want %d: %s", code, got, day, want, errs.String())
	}
	for _, args := range [][]string{{"list", "--help"}, {"audit", "export", "--help"}} {
		if r := certportal(t, "", args...); strings.Count(strings.Join(strings.Fields(r.out+r.err), " "), "pages.time_zone") < 2 {
			t.Errorf("%v does not say in which zone days are:\n%s%s", args, r.out, r.err)
		}
	}
	start, err := parseTime("--since", day, testkit.Must(time.LoadLocation(zone))(t))
	if err != nil || start.After(at) || at.Sub(start) >= 24*time.Hour {
		t.Errorf("the day %s begins at %v, %v", day, start, err)
	}
}

func TestListAndRevoke(t *testing.T) {
	data := seededPortal(t)
	all := listed(t, data)
	working := listed(t, data, "--status", "working")
	if len(all) != 120 || len(working) == 0 || len(working) >= len(all) {
		t.Fatalf("listed %d certificates, %d working", len(all), len(working))
	}
	table := mustRun(t, "--data", data, "list", "--status", "working")
	if lines := strings.Count(table, "\n"); lines != len(working)+1 || !strings.Contains(table, working[0].Serial) {
		t.Errorf("table of %d lines, want %d", lines, len(working)+1)
	}
	if devices := mustRun(t, "--data", data, "list", "--devices", "--person", "anna"); !strings.Contains(devices, "Anna’s") {
		t.Errorf("devices: %s", devices)
	}
	one := working[0]
	why := []string{"--reason", "lost", "--comment", "left in a taxi"}
	revoke := func(input string, args ...string) result {
		return certportal(t, input, append(append([]string{"--data", data, "revoke"}, args...), why...)...)
	}
	if r := revoke("no\n", "--serial", one.Serial); r.code != exitFailed || !strings.Contains(r.err, "nothing was revoked") {
		t.Errorf("not confirmed: exit %d, %s", r.code, r.err)
	}
	spaced := "0x" + strings.ToUpper(one.Serial[:6]) + ":" + one.Serial[6:]
	if r := revoke("yes\n", "--serial", spaced); r.code != exitDone || strings.TrimSpace(r.out) != one.Serial {
		t.Errorf("revoking: exit %d\n%s%s", r.code, r.out, r.err)
	}
	if r := revoke("", "--serial", one.Serial, "--yes"); r.code != exitDone || r.out != "" {
		t.Errorf("revoking again: exit %d, %s", r.code, r.out)
	}
	if got := listed(t, data, "--serial", one.Serial)[0]; got.Status != "blocked" || got.Cause != "lost" {
		t.Errorf("after: %+v", got)
	}
	other := working[len(working)-1]
	if r := revoke("", "--upn", strings.ToUpper(other.UPN), "--yes"); r.code != exitDone || !strings.Contains(r.out, other.Serial) {
		t.Errorf("everything of %s: exit %d\n%s%s", other.UPN, r.code, r.out, r.err)
	}
	if r := revoke("", "--device", working[1].Device, "--yes"); r.code != exitDone {
		t.Errorf("a device: exit %d, %s", r.code, r.err)
	}
	for name, args := range map[string][]string{
		"two targets": {"--serial", one.Serial, "--device", "x"}, "no target": {}, "no serial": {"--serial", "xyz"},
	} {
		if r := revoke("", args...); r.code != exitUsage {
			t.Errorf("%s: exit %d, want %d: %s", name, r.code, exitUsage, r.err)
		}
	}
	if r := revoke("", "--upn", "nobody@corp.example", "--yes"); r.code != exitFailed {
		t.Errorf("nobody: exit %d", r.code)
	}
	if r := certportal(t, "", "--data", data, "list", "--status", "gone"); r.code != exitUsage || !strings.Contains(r.err, "--status") {
		t.Errorf("no such status: exit %d, %s", r.code, r.err)
	}
}

// TestListSpeaksOfStatesAsThePages: every status is a word of the pages, in the table, in
// JSON, and as a filter.
func TestListSpeaksOfStatesAsThePages(t *testing.T) {
	data := seededPortal(t)
	found := map[string]int{}
	for _, c := range listed(t, data) {
		found[c.Status]++
		if !slices.Contains(portal.States(), portal.State(c.Status)) {
			t.Errorf("certificate %s is %q", c.Serial, c.Status)
		}
	}
	if len(found) < 4 {
		t.Errorf("got the states %v: too few for a test", found)
	}
	for status, n := range found {
		rows := listed(t, data, "--status", status)
		for _, c := range rows {
			if c.Status != status {
				t.Errorf("filter %s: certificate %s is %q", status, c.Serial, c.Status)
			}
		}
		if len(rows) != n {
			t.Errorf("filter %s: got %d rows of %d", status, len(rows), n)
		}
	}
	for _, args := range [][]string{{}, {"--devices"}, {"--devices", "--json"}} {
		table := mustRun(t, append([]string{"--data", data, "list"}, args...)...)
		for _, old := range []string{"working", "superseded", "revoked", "pending", "issued"} {
			if regexp.MustCompile(`\b` + old + `\b`).MatchString(table) {
				t.Errorf("list %v says %q", args, old)
			}
		}
	}
}

func TestHaltCommand(t *testing.T) {
	data := seededPortal(t)
	hint := certportal(t, "", "--data", data, "halt", "--reason", "Closed until four").err
	testkit.Contains(t, "the way back", hint, "certportal --data "+data+" resume")
	mustRun(t, "--data", data, "resume")
	if r := certportal(t, "", "--data", data, "resume"); r.code != exitDone || !strings.Contains(r.err, "was not stopped") {
		t.Errorf("resuming twice: exit %d, %s", r.code, r.err)
	}
	if r := certportal(t, "", "--data", data, "halt", "--reason", strings.Repeat("x", 201)); r.code != exitUsage {
		t.Errorf("a long text: exit %d", r.code)
	}
	if r := certportal(t, "", "--data", t.TempDir(), "halt", "--reason", "x"); r.code != exitFailed || !strings.Contains(r.err, "no portal") {
		t.Errorf("no portal: exit %d, %s", r.code, r.err)
	}
}

func TestSeedWantsAnEmptyDatabase(t *testing.T) {
	data := seededPortal(t)
	if r := certportal(t, "", "--data", data, "seed", "--certificates", "1"); r.code != exitFailed || !strings.Contains(r.err, "people in this database") {
		t.Errorf("seeding twice: exit %d, %s", r.code, r.err)
	}
}

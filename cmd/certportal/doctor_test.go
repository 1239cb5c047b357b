package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// runDemo runs a demo on a data folder until stop is called or the test ends.
func runDemo(t *testing.T, data string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var out, errs bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"demo", "--data", data, "--listen", "127.0.0.1:0"}, streams{strings.NewReader(""), &out, &errs}, fixture.FastCA())
	}()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if code := <-ended; code != exitDone {
				t.Errorf("demo: exit %d\n%s", code, errs.String())
			}
		}
	}
	t.Cleanup(stop)
	testkit.Eventually(t, "the demo answers", func() bool {
		if _, err := os.Stat(filepath.Join(data, doctor.SampleFile)); err != nil {
			return false
		}
		return examined(t, data)["address-ca"] == portal.FindingOK
	})
	return stop
}

// examined runs "doctor --json" and gives the states of the checks that are not fine.
func examined(t *testing.T, data string, args ...string) map[string]portal.FindingState {
	t.Helper()
	states, _ := examineJSON(t, data, args...)
	return states
}

func examineJSON(t *testing.T, data string, args ...string) (map[string]portal.FindingState, doctor.Report) {
	t.Helper()
	r := certportal(t, "", append([]string{"doctor", "--json", "--data", data}, args...)...)
	var report doctor.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatalf("exit %d, %v\n%s%s", r.code, err, r.out, r.err)
	}
	if r.code != report.Exit || report.Exit != doctor.ExitCode(report.State) {
		t.Errorf("exit %d, in the report %d for %s", r.code, report.Exit, report.State)
	}
	states := map[string]portal.FindingState{}
	for _, c := range report.Checks {
		if c.Title == "" || c.Tried == "" || len(c.Findings) == 0 {
			t.Errorf("%s says too little: %+v", c.Name, c)
		}
		states[c.Name] = c.State
	}
	return states, report
}

// notFine leaves out the checks in which all is well, and the disk, which is that of the
// machine that runs the tests.
func notFine(states map[string]portal.FindingState) map[string]portal.FindingState {
	named := maps.Clone(states)
	maps.DeleteFunc(named, func(_ string, s portal.FindingState) bool { return s == portal.FindingOK })
	delete(named, "disk")
	return named
}

// demoWarnings are what the doctor names in a demo that runs.
func demoWarnings() map[string]portal.FindingState {
	return map[string]portal.FindingState{
		"names": portal.FindingWarning, "files": portal.FindingWarning, "demo": portal.FindingWarning,
		"mail": portal.FindingInfo, "backups": portal.FindingInfo,
	}
}

func TestDoctorOfADemo(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	stop := runDemo(t, data)
	states, report := examineJSON(t, data)
	if states["disk"] == portal.FindingFailed {
		t.Fatal("the disk of this machine is almost full: free some space and run the test again")
	}
	if named := notFine(states); !maps.Equal(named, demoWarnings()) {
		t.Errorf("running: got %v, want %v", named, demoWarnings())
	}
	if !report.Running || report.Data != data || report.Exit != 3 {
		t.Errorf("running: %v, %s, exit %d", report.Running, report.Data, report.Exit)
	}
	text := certportal(t, "", "doctor", "--data", data)
	if text.code != 3 || !strings.HasPrefix(text.out, "warning ") || !strings.Contains(text.out, "To do: ") || strings.Contains(text.out, "**") {
		t.Errorf("in words: exit %d\n%s", text.code, text.out)
	}
	stop()
	want := demoWarnings()
	want["running"] = portal.FindingWarning // a demo has no people
	for _, name := range []string{"address-site", "address-crl", "address-ocsp", "address-ca"} {
		want[name] = portal.FindingSkipped
	}
	states, report = examineJSON(t, data)
	if named := notFine(states); report.Running || !maps.Equal(named, want) {
		t.Errorf("stopped: got %v, want %v", named, want)
	}
}

func TestDoctorUsage(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "mistyped")
	r := certportal(t, "", "doctor", "--data", missing)
	if r.code != exitFailed || !strings.Contains(r.err, "there is no portal in") {
		t.Errorf("a folder that is not there: exit %d, %s", r.code, r.err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the doctor made the folder")
	}
	file := filepath.Join(t.TempDir(), "file")
	testkit.NoError(t, os.WriteFile(file, nil, 0o600))
	if r := certportal(t, "", "doctor", "--data", file); r.code != exitFailed || !strings.Contains(r.err, "is no folder") {
		t.Errorf("a file in place of a folder: exit %d, %s", r.code, r.err)
	}
	if r := certportal(t, "", "doctor", "--config", missing); r.code != exitFailed || !strings.Contains(r.err, missing) {
		t.Errorf("settings that are not there: exit %d, %s", r.code, r.err)
	}
	// 2 would be read as "there are notes".
	if r := certportal(t, "", "doctor", "--jsno"); r.code != exitFailed {
		t.Errorf("a mistyped flag: exit %d, %s", r.code, r.err)
	}
	if r := certportal(t, "", "doctor", "--help"); r.code != exitDone || !strings.Contains(r.out, "--json") || !strings.Contains(r.out, "--bundle") {
		t.Errorf("help: exit %d, %s", r.code, r.out)
	}
}

// What is written in the settings counts, also in a folder that was that of a demo before.
func TestDoctorOfAFormerDemo(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	testkit.NoError(t, os.WriteFile(filepath.Join(data, doctor.SampleFile), []byte("{}"), 0o600))
	settings := filepath.Join(t.TempDir(), "c.yaml")
	password := filepath.Join(t.TempDir(), "password")
	testkit.NoError(t, os.WriteFile(password, []byte("secret"), 0o600))
	if states := examined(t, data); states["running"] != portal.FindingWarning { // it was never started
		t.Errorf("before its first start: %s", states["running"])
	}
	for _, tt := range []struct {
		name, text string
		directory  bool
	}{
		{"addresses and directory", "public_url: https://certificates.corp.example\npublic_http_url: http://pki.corp.example\n" +
			"directory: {kind: active-directory, domain: corp.example, servers: ['ldaps://" + freeAddress(t) + "'], user: portal@corp.example, password_file: " + password + "}\n", true},
		{"addresses", "public_url: https://certificates.corp.example\npublic_http_url: http://pki.corp.example\n", false},
	} {
		testkit.NoError(t, os.WriteFile(settings, []byte(tt.text), 0o600))
		states, report := examineJSON(t, data, "--config", settings)
		if states["settings"] != portal.FindingOK {
			t.Errorf("%s: settings are %s", tt.name, states["settings"])
		}
		if _, there := states["directory"]; there != tt.directory {
			t.Errorf("%s: directory is checked: %v", tt.name, there)
		}
		for _, c := range report.Checks {
			for _, f := range c.Findings {
				if c.Name == "names" && strings.HasPrefix(f.What, "public_") {
					t.Errorf("%s: %s: %s", tt.name, f.What, f.Text)
				}
			}
		}
	}
}

// A passphrase that only the service has is no failure of the CA. Where it is given to the
// command, the key is tried.
func TestDoctorWithoutThePassphrase(t *testing.T) {
	t.Parallel()
	environ := maps.Clone(fixture.FastCA())
	environ["CERTPORTAL_DATA"] = t.TempDir()
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "passphrase")
		testkit.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	right, wrong := file("a passphrase of the keys\n"), file("another passphrase\n")
	var errs bytes.Buffer
	environ["CERTPORTAL_CA_PASSPHRASE_FILE"] = right
	if code := run(t.Context(), []string{"ca", "init"}, streams{strings.NewReader(""), &errs, &errs}, environ); code != exitDone {
		t.Fatal(errs.String())
	}
	for _, tt := range []struct {
		name, setting, input string
		state                portal.FindingState
		want                 string
	}{
		{"a credential of the service", "", "", portal.FindingSkipped, "CERTPORTAL_CA_PASSPHRASE_FILE=prompt certportal doctor"},
		{"typed at the start", "prompt", "", portal.FindingSkipped, "typed at the start"},
		{"given", "prompt", right, portal.FindingOK, "it opens"},
		{"given wrongly", "prompt", wrong, portal.FindingFailed, "passphrase"},
		{"an empty file", "prompt", file("\n"), portal.FindingSkipped, "typed at the start"},
	} {
		environ := maps.Clone(environ)
		environ["CERTPORTAL_CA_PASSPHRASE_FILE"] = tt.setting
		var in io.Reader = strings.NewReader("")
		if tt.input != "" {
			f := testkit.Must(os.Open(tt.input))(t)
			defer f.Close()
			in = f
		}
		var out bytes.Buffer
		run(t.Context(), []string{"doctor", "--json"}, streams{in, &out, &out}, environ)
		var report doctor.Report
		testkit.NoError(t, json.Unmarshal(out.Bytes(), &report))
		looked := false
		for _, c := range report.Checks {
			looked = looked || c.Name == "ca"
			if c.Name == "ca" && (c.State != tt.state || !strings.Contains(c.Findings[0].Text, tt.want) || (c.Todo == "") != (tt.state != portal.FindingFailed)) {
				t.Errorf("%s: %s, %q, %v, want %s, %q", tt.name, c.State, c.Todo, c.Findings, tt.state, tt.want)
			}
		}
		if !looked {
			t.Errorf("%s: the CA was not checked\n%s", tt.name, out.String())
		}
	}
}

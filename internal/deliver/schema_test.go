package deliver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"certportal/internal/deliver"
)

// value is one value of a property list as read by Python's plistlib, which is
// independent of the encoder.
type value struct {
	Type string // of Apple's schema: "string", "integer", …
	Text string // of string, integer, real, boolean; hexadecimal of data; RFC 3339 of date
	List []value
	Keys map[string]value
}

// readPlists reads property lists with Python, all in one call. An invalid list ends
// the test.
func readPlists(t *testing.T, lists ...[]byte) []value {
	t.Helper()
	program(t, "python3")
	const script = `
import datetime, json, plistlib, sys
def tagged(v):
    if isinstance(v, bool): return {"Type": "boolean", "Text": str(v).lower()}
    if isinstance(v, str): return {"Type": "string", "Text": v}
    if isinstance(v, int): return {"Type": "integer", "Text": str(v)}
    if isinstance(v, float): return {"Type": "real", "Text": str(v)}
    if isinstance(v, bytes): return {"Type": "data", "Text": v.hex()}
    if isinstance(v, datetime.datetime): return {"Type": "date", "Text": v.isoformat() + "Z"}
    if isinstance(v, list): return {"Type": "array", "List": [tagged(x) for x in v]}
    return {"Type": "dictionary", "Keys": {k: tagged(x) for k, x in v.items()}}
print(json.dumps([tagged(plistlib.loads(bytes.fromhex(x))) for x in sys.stdin.read().split()]))`
	var in bytes.Buffer
	for _, list := range lists {
		fmt.Fprintf(&in, "%x\n", list)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", script)
	cmd.Stdin = &in
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("plistlib: %v\n%s", err, failed.String())
	}
	var values []value
	if err := json.Unmarshal(out, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// schema is Apple's published schema of the payloads.
type schema struct {
	Source   string
	Payloads map[string]struct {
		Systems  map[string]string // where it exists
		Manual   []string          // where a person may install it
		Multiple []string          // where a profile may hold several
		Keys     map[string]schemaKey
	}
}

type schemaKey struct {
	Type       string
	Required   bool
	Values     []any
	Format     string
	Absent     []string          // systems that lack it
	Deprecated map[string]string // system and its version
	Keys       map[string]schemaKey
}

func appleSchema(t *testing.T) schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "apple-payloads.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// check compares a whole profile with the schema.
func (s schema) check(t *testing.T, profile value, target deliver.Target) {
	t.Helper()
	system := map[deliver.Target]string{deliver.TargetPhone: "iOS", deliver.TargetMac: "macOS"}[target]
	s.checkKeys(t, profile, system, "TopLevel")
	ids, uuids, kinds := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, payload := range profile.Keys["PayloadContent"].List {
		kind := payload.Keys["PayloadType"].Text
		published, ok := s.Payloads[kind]
		if !ok || !slices.Contains(published.Manual, system) {
			t.Errorf("payload %s cannot be installed by hand on %s", kind, system)
		}
		if kinds[kind]++; kinds[kind] > 1 && !slices.Contains(published.Multiple, system) {
			t.Errorf("payload %s stands there %d times", kind, kinds[kind])
		}
		s.checkKeys(t, payload, system, "CommonPayloadKeys", kind)
		if content := payload.Keys["PayloadContent"]; content.Type == "dictionary" {
			checkDict(t, content, system, kind, published.Keys["PayloadContent"].Keys)
		}
		id, uuid := payload.Keys["PayloadIdentifier"].Text, payload.Keys["PayloadUUID"].Text
		if ids[id] || uuids[uuid] {
			t.Errorf("payload %s: identifier %s or UUID %s is there twice", kind, id, uuid)
		}
		ids[id], uuids[uuid] = true, true
	}
	for _, payload := range profile.Keys["PayloadContent"].List {
		for _, key := range []string{"PayloadCertificateUUID", "SMIMESigningCertificateUUID", "SMIMEEncryptionCertificateUUID"} {
			if uuid, ok := payload.Keys[key]; ok && !uuids[uuid.Text] {
				t.Errorf("%s %s names no payload", key, uuid.Text)
			}
		}
	}
}

// checkKeys compares a dictionary with the keys of all named parts of the schema.
func (s schema) checkKeys(t *testing.T, dict value, system string, parts ...string) {
	t.Helper()
	published := map[string]schemaKey{}
	for _, part := range parts {
		maps.Copy(published, s.Payloads[part].Keys)
	}
	checkDict(t, dict, system, strings.Join(parts, "+"), published)
}

func checkDict(t *testing.T, dict value, system, part string, published map[string]schemaKey) {
	t.Helper()
	for name, key := range published {
		if _, there := dict.Keys[name]; key.Required && !there {
			t.Errorf("%s: required key %s is absent", part, name)
		}
	}
	for name, v := range dict.Keys {
		key, ok := published[name]
		if !ok || slices.Contains(key.Absent, system) {
			t.Errorf("%s: key %s does not exist on %s", part, name, system)
			continue
		}
		if v.Type != key.Type {
			t.Errorf("%s: %s is a %s, want %s", part, name, v.Type, key.Type)
		}
		if version, old := key.Deprecated[system]; old {
			t.Errorf("%s: %s is deprecated since %s", part, name, version)
		}
		allowed := func(x any) bool { return fmt.Sprint(x) == v.Text }
		if len(key.Values) > 0 && !slices.ContainsFunc(key.Values, allowed) {
			t.Errorf("%s: %s is %q, want one of %v", part, name, v.Text, key.Values)
		}
		if key.Format != "" && !regexp.MustCompile(key.Format).MatchString(v.Text) {
			t.Errorf("%s: %s is %q, want the form %s", part, name, v.Text, key.Format)
		}
	}
}

// Package psgrammar parses scripts of PowerShell in tests. No PowerShell runs them.
package psgrammar

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

//go:embed parse.js
var source string

// Parsed is what the grammar of PowerShell says about a script.
type Parsed struct{ Errors, Shape, Strings []string }

// Parse parses scripts with tree-sitter's grammar of PowerShell, in the folder that
// scripts/test installs.
func Parse(t *testing.T, scripts ...string) []Parsed {
	t.Helper()
	folder := os.Getenv("POWERSHELL_GRAMMAR")
	if folder == "" || daemon.Program("node") == "" {
		daemon.Need(t, "the grammar of PowerShell (POWERSHELL_GRAMMAR) or node is missing")
	}
	cmd := exec.CommandContext(t.Context(), daemon.Program("node"), "--no-wasm-tier-up", "--wasm-lazy-compilation", "-e", source, folder)
	cmd.Stdin = bytes.NewReader(testkit.Must(json.Marshal(scripts))(t))
	var all []Parsed
	if err := json.Unmarshal(testkit.Must(cmd.Output())(t), &all); err != nil || len(all) != len(scripts) {
		t.Fatalf("%d of %d scripts were parsed: %v", len(all), len(scripts), err)
	}
	return all
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExchangeScript: the script holds the CA of this installation, and is printed or written.
func TestExchangeScript(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, "--data", dir, "ca", "init")
	printed := mustRun(t, "--data", dir, "exchange", "script")
	for _, want := range []string{"\ufeff#requires -Version 3.0\r\n", "Place = 'NTAuthCA'", "Place = 'RootCA'", "/crl/issuing.crl'", "/crl/root.crl'"} {
		if !strings.Contains(printed, want) {
			t.Errorf("the script has no %q", want)
		}
	}
	file := filepath.Join(t.TempDir(), "exchange.ps1")
	if out := mustRun(t, "--data", dir, "exchange", "script", "--out", file); !strings.Contains(out, "-Mode Pilot") {
		t.Errorf("printed: %s", out)
	}
	if written, err := os.ReadFile(file); err != nil || string(written) != printed {
		t.Errorf("the file differs: %v", err)
	}
}

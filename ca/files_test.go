package ca

import (
	"testing"
)

func TestReadLimited(t *testing.T) {
	path := FixtureFile(t, t.TempDir(), "file", []byte("12345"))
	if content, err := readLimited(path, 5); err != nil || string(content) != "12345" {
		t.Errorf("got %q and %v", content, err)
	}
	if content, err := readLimited(path, 4); err == nil {
		t.Errorf("got %q, want a refusal", content)
	}
}

package deliver_test

import (
	"testing"

	"certportal/internal/deliver"
)

func TestFormatFor(t *testing.T) {
	tests := []struct {
		name     string
		platform string
		major    int
		want     deliver.Format
	}{
		{"android-unknown", "android", 0, deliver.FormatLegacy},
		{"android-9", "android", 9, deliver.FormatLegacy},
		{"android-13", "android", 13, deliver.FormatLegacy},
		{"android-14", "android", 14, deliver.FormatModern},
		{"android-16", "android", 16, deliver.FormatModern},
		{"ios-unknown", "ios", 0, deliver.FormatLegacy},
		{"ios-17", "ios", 17, deliver.FormatLegacy},
		{"ios-26", "ios", 26, deliver.FormatLegacy},
		{"macos-unknown", "macos", 0, deliver.FormatLegacy},
		{"macos-14", "macos", 14, deliver.FormatLegacy},
		{"macos-26", "macos", 26, deliver.FormatLegacy},
		{"windows-unknown", "windows", 0, deliver.FormatLegacy},
		{"windows-7", "windows", 7, deliver.FormatLegacy},
		{"windows-10-or-server-2016", "windows", 10, deliver.FormatLegacy},
		{"windows-11", "windows", 11, deliver.FormatModern},
		{"linux", "linux", 0, deliver.FormatModern},
		{"unknown-system", "plan9", 99, deliver.FormatLegacy},
		{"no-system", "", 0, deliver.FormatLegacy},
		{"negative", "android", -1, deliver.FormatLegacy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := deliver.FormatFor(tt.platform, tt.major); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestFormatOther(t *testing.T) {
	tests := []struct {
		name         string
		format, want deliver.Format
	}{
		{"legacy", deliver.FormatLegacy, deliver.FormatModern},
		{"modern", deliver.FormatModern, deliver.FormatLegacy},
		{"zero-acts-as-legacy", "", deliver.FormatModern},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.format.Other(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestParseFormat(t *testing.T) {
	tests := []struct {
		name, in string
		want     deliver.Format
		wantErr  string
	}{
		{"legacy", "legacy", deliver.FormatLegacy, ""},
		{"modern", "modern", deliver.FormatModern, ""},
		{"empty", "", "", `parsing file format "": want "legacy" or "modern"`},
		{"capital", "Legacy", "", `parsing file format "Legacy": want "legacy" or "modern"`},
		{"long", "0123456789012345678901234567890", "",
			`parsing file format "01234567890123456789": want "legacy" or "modern"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := deliver.ParseFormat(tt.in)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || err.Error() != tt.wantErr) {
				t.Errorf("error %v, want %q", err, tt.wantErr)
			}
		})
	}
}

package directory

import (
	"encoding/hex"
	"testing"
	"time"

	"certportal/internal/portal"
)

func TestSID(t *testing.T) {
	tests := []struct{ name, bytes, text string }{
		{"Domain Admins", "010500000000000515000000dcf4dc3b833d2b46828ba62800020000", "S-1-5-21-1004336348-1177238915-682003330-512"},
		{"Administrators", "01020000000000052000000020020000", "S-1-5-32-544"},
		{"Everyone", "010100000000000100000000", "S-1-1-0"},
		{"authority beyond 32 bits", "01010123456789ab01000000", "S-1-0x0123456789AB-1"},
		{"greatest number", "0101000000000005ffffffff", "S-1-5-4294967295"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := hex.DecodeString(tt.bytes)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := sidText(b); err != nil || got != tt.text {
				t.Errorf("sidText = %q, %v, want %q", got, err, tt.text)
			}
			if got, err := parseSID(tt.text); err != nil || hex.EncodeToString(got) != tt.bytes {
				t.Errorf("parseSID = %x, %v, want %s", got, err, tt.bytes)
			}
		})
	}
}

func TestSIDRefuses(t *testing.T) {
	for _, text := range []string{
		"", "S", "S-1", "S-1-5", "s-1-5-21", "S-2-5-21", "S-1-5-021", "S-1-5-+21", "S-1-5- 21", "S-1-5-21-", "S-1-5--21",
		"S-1-5-4294967296", "S-1-05-21", "S-1-0x5-21", "S-1-281474976710656-1", "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
	} {
		if b, err := parseSID(text); err == nil {
			t.Errorf("parseSID(%q) = %x, want an error", text, b)
		}
	}
	for _, b := range []string{"", "\x01", "\x01\x01\x00\x00\x00\x00\x00\x05", "\x02\x01\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00", "\x01\x00\x00\x00\x00\x00\x00\x05"} {
		if text, err := sidText([]byte(b)); err == nil {
			t.Errorf("sidText(%x) = %q, want an error", b, text)
		}
	}
}

func TestGUID(t *testing.T) {
	b, err := hex.DecodeString("54d8705b6d47e847a4ab624d45a494f4")
	if err != nil {
		t.Fatal(err)
	}
	const want portal.PersonID = "5b70d854-476d-47e8-a4ab-624d45a494f4"
	if got, err := guidText(b); err != nil || got != want {
		t.Errorf("guidText = %q, %v, want %q", got, err, want)
	}
	if got, err := parseGUID(want); err != nil || string(got) != string(b) {
		t.Errorf("parseGUID = %x, %v, want %x", got, err, b)
	}
	for _, id := range []portal.PersonID{
		"", "5b70d854476d47e8a4ab624d45a494f4", "{5b70d854-476d-47e8-a4ab-624d45a494f4}", "5B70D854-476d-47e8-a4ab-624d45a494f4",
		"5b70d854-476d-47e8-a4ab-624d45a494fg", "5b70d85-4476d-47e8-a4ab-624d45a494f4", "5b70d854-476d-47e8-a4ab-624d45a494f>",
	} {
		if got, err := parseGUID(id); err == nil {
			t.Errorf("parseGUID(%q) = %x, want an error", id, got)
		}
	}
}

func TestFileTime(t *testing.T) {
	tests := []struct {
		text string
		want time.Time
		ok   bool
	}{
		{"0", time.Time{}, true},
		{"9223372036854775807", time.Time{}, true},
		{"116444736000000000", time.Unix(0, 0).UTC(), true},
		{"131000000000000001", time.Unix(1455526400, 100).UTC(), true},
		{"9223372036854775806", time.Unix(910692730085, 477580600).UTC(), true},
		{"-1", time.Time{}, false}, {"", time.Time{}, false}, {"never", time.Time{}, false}, {"9223372036854775808", time.Time{}, false},
	}
	for _, tt := range tests {
		got, err := fileTime(tt.text)
		if !got.Equal(tt.want) || (err == nil) != tt.ok {
			t.Errorf("fileTime(%q) = %v, %v, want %v, ok %v", tt.text, got, err, tt.want, tt.ok)
		}
	}
}

func FuzzSID(f *testing.F) {
	f.Add([]byte("\x01\x01\x00\x00\x00\x00\x00\x05\x12\x00\x00\x00"), "S-1-5-18")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		if written, err := sidText(b); err == nil {
			if again, err := parseSID(written); err != nil || string(again) != string(b) {
				t.Errorf("%x is written %q and read %x, %v", b, written, again, err)
			}
		}
		if parsed, err := parseSID(text); err == nil {
			if again, err := sidText(parsed); err != nil || again != text {
				t.Errorf("%q is read %x and written %q, %v", text, parsed, again, err)
			}
		}
		if guid, err := guidText(b); err == nil {
			if again, err := parseGUID(guid); err != nil || string(again) != string(b) {
				t.Errorf("%x is written %q and read %x, %v", b, guid, again, err)
			}
		}
	})
}

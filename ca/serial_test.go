package ca_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"certportal/ca"
)

func TestNewSerial(t *testing.T) {
	seen := make(map[ca.Serial]bool)
	for range 10000 {
		s, err := ca.NewSerial(nil)
		if err != nil {
			t.Fatal(err)
		}
		if seen[s] {
			t.Fatalf("serial %s twice", s)
		}
		seen[s] = true
		if got := len(s.String()); got != 34 {
			t.Fatalf("got %d digits, want 34", got)
		}
		// 135 bits, the highest set and the sign bit clear: positive in DER.
		if got := s.Big().BitLen(); got != 135 {
			t.Fatalf("got %d bits, want 135", got)
		}
	}
}

func TestNewSerialAtTheEdges(t *testing.T) {
	for _, test := range []struct {
		name   string
		random []byte
		want   string
	}{
		{"all bits clear", make([]byte, 17), "40" + strings.Repeat("00", 16)},
		{"all bits set", bytes.Repeat([]byte{0xff}, 17), "7f" + strings.Repeat("ff", 16)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := ca.NewSerial(bytes.NewReader(test.random))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if _, err := ca.NewSerial(bytes.NewReader(nil)); err == nil {
		t.Error("no randomness: got a serial")
	}
}

func TestParseSerial(t *testing.T) {
	for _, test := range []struct {
		name string
		text string
		want string // empty for a refusal
	}{
		{"as stored", "4d48f89e", "4d48f89e"},
		{"upper case", "4D48F89E", "4d48f89e"},
		{"colons as in openssl", "4d:48:f8:9e", "4d48f89e"},
		{"spaces as in certmgr", " 4d 48 f8 9e ", "4d48f89e"},
		{"0x", "0x4D48F89E", "4d48f89e"},
		{"odd number of digits", "5", "05"},
		{"zero octet of DER in front", "00fe02", "fe02"},
		{"20 octets", strings.Repeat("ff", 20), strings.Repeat("ff", 20)},
		{"21 octets", strings.Repeat("ff", 21), ""},
		{"empty", "", ""},
		{"zero", "00", ""},
		{"negative", "-05", ""},
		{"decimal point", "1.2", ""},
		{"no hexadecimal", "4g", ""},
		{"0x twice", "0x0x5", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := ca.ParseSerial(test.text)
			if got := s.String(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if (err != nil) != (test.want == "") || (err != nil && !errors.Is(err, ca.ErrSerial)) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestSerialOf(t *testing.T) {
	for _, test := range []struct {
		name   string
		number *big.Int
		want   string
	}{
		{"one", big.NewInt(1), "01"},
		{"nil", nil, ""},
		{"zero", new(big.Int), ""},
		{"negative", big.NewInt(-1), ""},
		{"161 bits", new(big.Int).Lsh(big.NewInt(1), 160), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := ca.SerialOf(test.number)
			if got := s.String(); got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q and %v, want %q", got, err, test.want)
			}
			if s.IsZero() != (test.want == "") {
				t.Errorf("IsZero: got %v", s.IsZero())
			}
		})
	}
}

func TestSerialOrderIsThatOfNumbers(t *testing.T) {
	texts := []string{"01", "02", "ff", "0100", "4d48", "4d49", "010000"}
	serials := make([]ca.Serial, 0, len(texts))
	for _, text := range slices.Backward(texts) {
		serials = append(serials, serial(t, text))
	}
	slices.SortFunc(serials, ca.Serial.Compare)
	for n, s := range serials {
		if s.String() != texts[n] {
			t.Errorf("place %d: got %s, want %s", n, s, texts[n])
		}
	}
}

func TestSerialInJSON(t *testing.T) {
	type row struct{ Serial ca.Serial }
	for _, test := range []struct {
		name string
		row  row
		want string
	}{
		{"serial", row{serial(t, "4d48")}, `{"Serial":"4d48"}`},
		{"none", row{}, `{"Serial":""}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := json.Marshal(test.row)
			if err != nil {
				t.Fatal(err)
			}
			if string(text) != test.want {
				t.Errorf("got %s, want %s", text, test.want)
			}
			back := row{serial(t, "7777")}
			if err := json.Unmarshal(text, &back); err != nil || back != test.row {
				t.Errorf("got %v and %v, want %v", back, err, test.row)
			}
		})
	}
	var broken row
	if err := json.Unmarshal([]byte(`{"Serial":"x"}`), &broken); !errors.Is(err, ca.ErrSerial) {
		t.Errorf("got %v, want %v", err, ca.ErrSerial)
	}
}

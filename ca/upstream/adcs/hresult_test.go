package adcs_test

import (
	"strings"
	"testing"

	"certportal/ca/upstream/adcs"
	"certportal/internal/test/testkit"
)

func TestExplanationsAreComplete(t *testing.T) {
	var last adcs.HRESULT
	for _, e := range adcs.Explanations() {
		if e.Code <= last {
			t.Errorf("%s is not above the code before it", e.Code)
		}
		last = e.Code
		if e.Name == "" || e.Effect == 0 || e.Meaning == "" || strings.HasSuffix(e.Meaning, ".") || !strings.HasSuffix(e.Remedy, ".") {
			t.Errorf("%s: explanation is incomplete: %+v", e.Code, e)
		}
		got, ok := adcs.Explain(strings.ToUpper(e.Code.String()))
		if !ok || got != e {
			t.Errorf("%s: explanation is not found", e.Code)
		}
	}
	// Those of the facts of this project.
	for _, code := range strings.Fields("0x80094001 0x80094002 0x80094003 0x80094004 0x80094009 0x80094011 0x80094012 0x80094800 0x80094801 " +
		"0x80094802 0x80094803 0x80094806 0x80094808 0x80094809 0x8009480A 0x8009480B 0x8009480D 0x8009480F 0x80094811 0x80094812 0x80094816 0x80092013") {
		if _, ok := adcs.Explain(code); !ok {
			t.Errorf("%s is not explained", code)
		}
	}
}

func TestParseHRESULT(t *testing.T) {
	for text, want := range map[string]adcs.HRESULT{
		"-2146875374": 0x80094812, " 0x80094812\n": 0x80094812, "0X8009480D": 0x8009480d, "2148091922": 0x80094812, "0": 0,
	} {
		got, ok := adcs.ParseHRESULT(text)
		if !ok || got != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "0x", "HTTP 401", "-2147483649", "4294967296", "0x180094812", "InternalServiceFault"} {
		if got, ok := adcs.ParseHRESULT(text); ok {
			t.Errorf("%q: got %s, want nothing", text, got)
		}
	}
}

func TestEffectOfCodesWithoutExplanation(t *testing.T) {
	testkit.Equal(t, "CERTSRV_E_SERVER_SUSPENDED", adcs.HRESULT(0x80094006).Effect(), adcs.Refused)
	testkit.Equal(t, "NTE_FAIL", adcs.HRESULT(0x80090020).Effect(), adcs.Interrupted)
}

package certsrv_test

import (
	"strings"
	"testing"

	"certportal/ca/upstream/certsrv"
)

const link = `<p id=locInfo2><a href="certnew.cer?ReqID=5&amp;Enc=b64">x</a>`

func TestPagesThatSayNothing(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                      "",
		"another page with numbers":    `<h1 id=location>Welcome</h1><p id=locale>You are visitor 5`,
		"links to two requests":        link + `<a href="certnew.cer?ReqID=6&amp;Enc=b64">x</a>`,
		"link and refusal":             link + `<p id=locDenied>No`,
		"link and code":                link + `<p>0x80094012`,
		"link to request 0":            `<a href="certnew.cer?ReqID=0&amp;Enc=b64">x</a>`,
		"link to the CA's certificate": `<a href="certnew.cer?ReqID=CACert&amp;Renewal=5">x</a>`,
		"pending with two numbers":     `<p id=locInfo1>5<p id=locInfo2>6`,
		"number in a warning only":     `<p id=locTimeWarning>10`,
		"pending without number":       `<p id=locPageTitle>Certificate Pending`,
		"connection to the CA broke":   `<p id=locPageTitle>Error<p>0x800706ba`,
		"code of nothing known":        `<p id=locPageTitle>Error<p>0x80004005`,
	} {
		number, issued, err := certsrv.ReadPage([]byte(text))
		if err == nil {
			t.Errorf("%s: got number %q, issued %v, want an error", name, number, issued)
			continue
		}
		wantUnknown(t, name, err)
	}
}

func TestPagesThatDecide(t *testing.T) {
	for name, test := range map[string]struct {
		text, number, code string
		issued             bool
	}{
		"issued":                    {text: link, number: "5", issued: true},
		"issued, link in a script":  {text: `<script>location="certnew.cer?ReqID=61108&Enc=b64"</script>`, number: "61108", issued: true},
		"pending by id":             {text: `<p id=locInfoReqID>5<p id=locInfo2>10`, number: "5"},
		"pending, without ids":      {text: `<p>Your Request Id is 123. Return within 10 days`, number: "123"},
		"pending, German sentence":  {text: `<p>Ihre Anforderungs-ID lautet 123.`, number: "123"},
		"pending, French sentence":  {text: `<p>L'ID de votre demande est 123.`, number: "123"},
		"denied by element":         {text: `<p id=locDenied>No`, code: "denied"},
		"denied, first code counts": {text: `<p id=locDenied>No<p id=locInfo1>0x80094800, 0x80094009`, code: "0x80094800"},
		"denied, unlisted code":     {text: `<p id=locDenied>No<p>0x80004005`, code: "0x80004005"},
		"error by code":             {text: `<p>Error 0x80094009 (-2146877431)`, code: "0x80094009"},
		"constant in a script":      {text: `<script>var e=0x80094009</script><p id=locInfo1>5`, number: "5"},
	} {
		number, issued, err := certsrv.ReadPage([]byte(test.text))
		if test.code != "" {
			if denied := deniedBy(t, err); denied.Code != test.code {
				t.Errorf("%s: code is %q, want %q", name, denied.Code, test.code)
			}
			continue
		}
		if err != nil || number != test.number || issued != test.issued {
			t.Errorf("%s: got %q, %v, error %v", name, number, issued, err)
		}
	}
}

func TestTextIsBounded(t *testing.T) {
	_, _, err := certsrv.ReadPage([]byte(`<p id=locDenied>` + strings.Repeat("\u202e\xff<br>ä", 5000)))
	denied := deniedBy(t, err)
	if n := len([]rune(denied.Text)); n > 500 || strings.ContainsRune(denied.Text, '\u202e') {
		t.Errorf("text has %d characters: %.40q", n, denied.Text)
	}
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(link))
	f.Add([]byte(`<p id=locDenied>No<p id=locInfoReqIDAndReason>5 0x80094800`))
	f.Add([]byte(`<p>Your Request Id is 123.`))
	f.Fuzz(func(t *testing.T, body []byte) {
		number, issued, err := certsrv.ReadPage(body)
		if err == nil && (number == "" || strings.Trim(number, "0123456789") != "") {
			t.Errorf("number is %q, issued %v", number, issued)
		}
	})
}

package deliver_test

import (
	"fmt"
	"mime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"certportal/internal/deliver"
)

// hostileNames are names in a directory or of a device that attack a header, a file
// system or a reader.
func hostileNames() []string {
	return []string{
		"", " ", ".", "..", "...", "-", "../../etc/passwd", `..\..\windows\system32`,
		`quote" ; filename="evil.exe`, "cr\r\nSet-Cookie: a=b", "nul\x00byte", "tab\tname",
		"\u202egpj.exe", "zero\u200bwidth", "bom\ufeff", "a\u2028b", "\u0085next",
		"CON", "con.txt", "Nul", "COM1", "lpt9.log", "COM¹", "AUX .x", "CONIN$",
		"%00%0d%0a", "%2e%2e%2f", "UTF-8''x", "name*=x", "a;b=c", "=?utf-8?q?x?=",
		"$(reboot)", "`id`", "| more", "<script>alert(1)</script>", "-rf", "~root", ".hidden",
		"C:\\Users", "file:stream", "trailing.", "trailing ", "é", "e\u0301", "İstanbul", "ﬁle",
		"\xff\xfe", "ok\xc3", "\xed\xa0\x80", string(utf8.RuneError), "\U000e0041tag", "\ue000private",
		strings.Repeat("a", 300), strings.Repeat("艾", 300), strings.Repeat("📱", 300),
		strings.Repeat("\u0301", 300), strings.Repeat("../", 100), "👩‍👩‍👧‍👦 family", "مرحبا", "𝕬𝖉𝖆",
	}
}

func TestFileName(t *testing.T) {
	tests := []struct{ name, org, device, ext, want string }{
		{"plain", "Example", "Adas-iPhone", "p12", "Example-Adas-iPhone.p12"},
		{"spaces", "Example Ltd", "Ada's phone", ".p12", "Example-Ltd-Ada-s-phone.p12"},
		{"german", "Müßig & Söhne", "Jürgens Gerät", "p12", "Mussig-Sohne-Jurgens-Gerat.p12"},
		{"chinese-device", "Example", "艾达的手机", "p12", "Example.p12"},
		{"nothing-left", "例", "手机", "cer", "certificate.cer"},
		{"nothing-given", "", "", "pem", "certificate.pem"},
		{"hidden", ".x", "", "p12", "x.p12"},
		{"reserved", "", "con", "p12", "certificate-con.p12"},
		{"reserved-stem", "", "nul.tar", "p12", "certificate-nul.tar.p12"},
		{"not-reserved", "Example", "con", "p12", "Example-con.p12"},
		{"traversal", "..", "../../etc/passwd", "p12", "etc-passwd.p12"},
		{"long", strings.Repeat("a", 300), "b", "p12", strings.Repeat("a", 60) + ".p12"},
		{"extension-upper", "a", "b", ".P12", "a-b.p12"},
		{"extension-hostile", "a", "b", "p12\r\nX: y", "a-b.bin"},
		{"extension-none", "a", "b", "", "a-b.bin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := deliver.FileName(tt.org, tt.device, 0, tt.ext); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestFileNamesOfOneDeviceDiffer: the number survives names of any length and script.
func TestFileNamesOfOneDeviceDiffer(t *testing.T) {
	tests := []struct {
		name, org, device string
		number            int
		want              string
	}{
		{"plain", "Contoso", "Galaxy", 2, "Contoso-Galaxy-2.p12"},
		{"other script", "例", "手机", 2, "certificate-2.p12"},
		{"long", strings.Repeat("a", 300), "b", 12, strings.Repeat("a", 57) + "-12.p12"},
		{"reserved", "", "con", 2, "certificate-con-2.p12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := deliver.FileName(tt.org, tt.device, tt.number, "p12"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestContentDisposition(t *testing.T) {
	tests := []struct{ name, org, device, want string }{
		{"ascii", "Example", "phone",
			`attachment; filename="Example-phone.p12"; filename*=UTF-8''Example-phone.p12`},
		{"german", "Example", "Jürgens Gerät",
			`attachment; filename="Example-Jurgens-Gerat.p12"; filename*=UTF-8''Example-J%C3%BCrgens%20Ger%C3%A4t.p12`},
		{"chinese", "例", "手机",
			`attachment; filename="certificate.p12"; filename*=UTF-8''%E4%BE%8B-%E6%89%8B%E6%9C%BA.p12`},
		{"quote", "a", `b" c`,
			`attachment; filename="a-b-c.p12"; filename*=UTF-8''a-b-%20c.p12`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := deliver.ContentDisposition(tt.org, tt.device, 0, "p12"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestFullName(t *testing.T) {
	tests := []struct{ name, org, device, want string }{
		{"plain", "Example", "phone", "Example-phone.p12"},
		{"spaces and apostrophe", "Example Company", "Wei's Linux computer", "Example Company-Wei's Linux computer.p12"},
		{"other script", "例", "手机", "例-手机.p12"},
		{"command", "Example", "$(id) `id`", "Example-$(id) `id`.p12"},
		{"traversal", "..", "../../etc/passwd", "etc-passwd.p12"},
		{"nothing given", "", "", "certificate.p12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := deliver.FullName(tt.org, tt.device, 0, "p12"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestA18_FileNames(t *testing.T) {
	for _, org := range hostileNames() {
		for _, device := range hostileNames() {
			for _, number := range []int{0, 1234567} {
				checkFileName(t, org, device, "p12", number)
				checkDisposition(t, org, device, "p12", number)
			}
		}
		checkFileName(t, "Example", "phone", org, 1)
		checkDisposition(t, "Example", "phone", org, 1)
	}
}

func FuzzFileName(f *testing.F) {
	for _, s := range hostileNames() {
		f.Add(s, s, "p12")
		f.Add("Example", s, s)
	}
	f.Fuzz(func(t *testing.T, org, device, ext string) { checkFileName(t, org, device, ext, len(org)) })
}

func FuzzContentDisposition(f *testing.F) {
	for _, s := range hostileNames() {
		f.Add(s, s, "p12")
		f.Add("Example", s, s)
	}
	f.Fuzz(func(t *testing.T, org, device, ext string) { checkDisposition(t, org, device, ext, len(org)) })
}

// checkFileName checks what FileName documents.
func checkFileName(t *testing.T, org, device, ext string, number int) {
	t.Helper()
	name := deliver.FileName(org, device, number, ext)
	for _, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("._-", rune(c)) {
			t.Errorf("FileName(%q, %q, %q) = %q holds %q", org, device, ext, name, c)
		}
	}
	checkBase(t, name, number)
}

// checkDisposition parses the header as a browser would.
func checkDisposition(t *testing.T, org, device, ext string, number int) {
	t.Helper()
	header := deliver.ContentDisposition(org, device, number, ext)
	for _, c := range []byte(header) {
		if c < ' ' || c > '~' {
			t.Errorf("header %q holds %q", header, c)
		}
	}
	kind, params, err := mime.ParseMediaType(header)
	if err != nil || kind != "attachment" || len(params) != 1 {
		t.Fatalf("header %q is %s with %v: %v", header, kind, params, err)
	}
	name := params["filename"] // of filename*
	if got := deliver.FullName(org, device, number, ext); got != name {
		t.Errorf("FullName(%q, %q, %q) = %q, the header says %q", org, device, ext, got, name)
	}
	for _, r := range name {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' || strings.ContainsRune(`/\:*?"<>|%`, r) {
			t.Errorf("full name %q holds %U", name, r)
		}
	}
	checkBase(t, name, number)
	if !strings.HasPrefix(header, `attachment; filename="`+deliver.FileName(org, device, number, ext)+`"; `) {
		t.Errorf("header %q lacks the ASCII name", header)
	}
}

// checkBase checks the properties that both names share.
func checkBase(t *testing.T, name string, number int) {
	t.Helper()
	dot := strings.LastIndexByte(name, '.')
	if end := fmt.Sprintf("-%d", number); number != 0 && !strings.HasSuffix(name[:max(dot, 0)], end) {
		t.Errorf("name %q does not end in its number %d", name, number)
	}
	if base := []rune(name[:max(dot, 0)]); len(base) > 60 {
		t.Errorf("name %q has a base of %d characters", name, len(base))
	}
	if dot < 1 || dot == len(name)-1 || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") {
		t.Errorf("name %q has no base, no extension or hides itself", name)
	}
	if len(name) > 255 || !utf8.ValidString(name) {
		t.Errorf("name %q has %d bytes or is not UTF-8", name, len(name))
	}
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch strings.TrimSpace(stem) {
	case "CON", "PRN", "AUX", "NUL", "COM1", "COM¹", "LPT9", "CONIN$":
		t.Errorf("name %q is a device of Windows", name)
	}
}

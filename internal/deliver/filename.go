package deliver

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxFriendlyName is pkcs-9-ub-friendlyName of RFC 2985, in UTF-16 units.
	maxFriendlyName = 255
	// maxBase bounds the base name in characters, so that a file name with its
	// extension has less than 255 bytes even with four bytes per character.
	maxBase = 60
	// fallbackBase is the base name when both cleaned names are empty.
	fallbackBase = "certificate"
)

// FileName returns "{org}-{device}-{number}.{ext}" in ASCII letters, digits, dot, hyphen
// and underscore. It removes accents and other scripts, and uses "certificate" when
// nothing remains. The base has at most 60 characters, does not begin with a dot,
// and is no reserved name of Windows. A number of 0 is left out; no other is cut off.
// ext may have a leading dot; anything but 1 to 12 ASCII letters and digits becomes
// "bin".
func FileName(org, device string, number int, ext string) string {
	return join(asciiPart(org), asciiPart(device), number) + "." + cleanExt(ext)
}

// FullName returns "{org}-{device}-{number}.{ext}" in any script and with spaces. Browsers
// save the file under this name, because they prefer filename* (RFC 6266 section
// 4.3). It has no control or format characters and no characters that file systems
// reserve, but may have quotes and others that a shell interprets.
func FullName(org, device string, number int, ext string) string {
	return join(unicodePart(org), unicodePart(device), number) + "." + cleanExt(ext)
}

// ContentDisposition returns the value of the header that makes a browser save the
// response (RFC 6266): attachment, the ASCII name of [FileName], and [FullName] as
// filename* (RFC 8187). No name can inject parameters or headers (attack A18).
func ContentDisposition(org, device string, number int, ext string) string {
	return "attachment; " + nameParameters(org, device, number, ext)
}

// InlineDisposition is ContentDisposition for a file that the browser should pass to
// the system: Safari on an iPhone only saves an Apple profile that is an attachment.
func InlineDisposition(org, device string, number int, ext string) string {
	return "inline; " + nameParameters(org, device, number, ext)
}

// nameParameters gives the parameters filename and filename*.
func nameParameters(org, device string, number int, ext string) string {
	return `filename="` + FileName(org, device, number, ext) + `"; filename*=UTF-8''` + extValue(FullName(org, device, number, ext))
}

// join joins two cleaned parts and the number to a base name.
func join(org, device string, number int) string {
	end := ""
	if number != 0 {
		end = "-" + strconv.Itoa(number)
	}
	base := cut(org+"-"+device, maxBase-len(end))
	switch {
	case base == "":
		base = fallbackBase
	case reserved(base):
		base = cut(fallbackBase+"-"+base, maxBase-len(end))
	}
	return base + end
}

// cut removes leading dots, which hide a file, endings that Windows drops, and
// characters beyond the longest.
func cut(base string, longest int) string {
	base = strings.Trim(base, " .-")
	if r := []rune(base); len(r) > longest {
		return strings.TrimRight(string(r[:longest]), " .-")
	}
	return base
}

// asciiPart keeps the characters that all file systems and header parsers treat alike.
func asciiPart(s string) string {
	s = strings.NewReplacer("ß", "ss", "æ", "ae", "Æ", "Ae", "ø", "o", "Ø", "O", "ł", "l", "Ł", "L").Replace(s)
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		switch {
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '.'):
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // the accent that NFKD split from its base
		default:
			b.WriteByte('-')
		}
	}
	return squeeze(b.String(), '-')
}

// unicodePart keeps a name in its own script, without characters that could mislead
// a file system or a reader.
func unicodePart(s string) string {
	replaced := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|%`, r) {
			return '-'
		}
		return r
	}, cleanName(s))
	return squeeze(replaced, '-')
}

// cleanName drops control, private-use, unassigned and format characters (including
// the bidirectional ones, which display "p12.exe" as "exe.21p"), replaces every space
// by a plain one, and truncates at maxFriendlyName units.
func cleanName(s string) string {
	var b strings.Builder
	units := 0
	for _, r := range norm.NFC.String(s) {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case r == unicode.ReplacementChar, !unicode.IsGraphic(r):
			continue
		}
		if units += utf16.RuneLen(r); units > maxFriendlyName {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(squeeze(b.String(), ' '))
}

// squeeze replaces each run of c by one c.
func squeeze(s string, c rune) string {
	var last rune
	return strings.Map(func(r rune) rune {
		if r == c && last == c {
			return -1
		}
		last = r
		return r
	}, s)
}

// reserved reports whether base is a device name of Windows, which is reserved with
// any extension.
func reserved(base string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(base), ".")
	switch stem = strings.TrimRight(stem, " "); stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, isPort := strings.CutPrefix(stem, "COM")
	if !isPort {
		port, isPort = strings.CutPrefix(stem, "LPT")
	}
	return isPort && len([]rune(port)) == 1 && strings.Contains("0123456789¹²³", port)
}

// cleanExt gives an extension without its dot.
func cleanExt(ext string) string {
	ext = strings.ToLower(strings.TrimPrefix(ext, "."))
	if len(ext) < 1 || len(ext) > 12 {
		return "bin"
	}
	for i := range len(ext) {
		if c := ext[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "bin"
		}
	}
	return ext
}

// extValue percent-encodes all but attr-char (RFC 8187 section 3.2.1).
func extValue(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if letter || c >= '0' && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}

package deliver

import (
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxFriendlyName is the bound of RFC 2985 (pkcs-9-ub-friendlyName), in
	// UTF-16 units.
	maxFriendlyName = 255
	// maxBase keeps a file name, extension included, under the 255 bytes of a
	// file system even when every character takes four.
	maxBase = 60
	// fallbackBase names a file when nothing of the given names is left.
	fallbackBase = "certificate"
)

// FileName returns "{org}-{device}.{ext}" in letters, digits, dot, hyphen and
// underscore of ASCII: accents are taken off, other scripts left out, and
// "certificate" stands in when nothing remains. The base is at most 60
// characters, never hidden and never a name that Windows reserves. The
// extension is given with or without its dot; one that is not 1 to 12 ASCII
// letters and digits becomes "bin".
func FileName(org, device, ext string) string {
	return join(asciiPart(org), asciiPart(device)) + "." + cleanExt(ext)
}

// FullName returns "{org}-{device}.{ext}" in every script, spaces kept: the name
// under which browsers save the file, because they prefer filename* (RFC 6266
// section 4.3). It holds no control or format character and nothing that a file
// system reserves, but quotes and other signs a shell reads: quote it there.
func FullName(org, device, ext string) string {
	return join(unicodePart(org), unicodePart(device)) + "." + cleanExt(ext)
}

// ContentDisposition returns the header's value that makes a browser save the
// answer (RFC 6266): attachment, the ASCII name of [FileName], and [FullName] as
// filename* (RFC 8187). No name can break out of it (attack A18).
func ContentDisposition(org, device, ext string) string {
	return "attachment; " + nameParameters(org, device, ext)
}

// InlineDisposition is ContentDisposition for a file that the browser hands to
// the system: Safari on an iPhone saves an Apple profile that is an attachment.
func InlineDisposition(org, device, ext string) string {
	return "inline; " + nameParameters(org, device, ext)
}

// nameParameters are the two names of a file.
func nameParameters(org, device, ext string) string {
	return `filename="` + FileName(org, device, ext) + `"; filename*=UTF-8''` + extValue(FullName(org, device, ext))
}

// join makes one base name of two cleaned parts.
func join(org, device string) string {
	base := cut(org + "-" + device)
	if base == "" {
		return fallbackBase
	}
	if reserved(base) {
		return cut(fallbackBase + "-" + base)
	}
	return base
}

// cut takes off what hides a file or vanishes on Windows, and what is too long.
func cut(base string) string {
	base = strings.Trim(base, " .-")
	if r := []rune(base); len(r) > maxBase {
		return strings.TrimRight(string(r[:maxBase]), " .-")
	}
	return base
}

// asciiPart keeps what every file system and every header parser takes alike.
func asciiPart(s string) string {
	s = strings.NewReplacer("ß", "ss", "æ", "ae", "Æ", "Ae", "ø", "o", "Ø", "O", "ł", "l", "Ł", "L").Replace(s)
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		switch {
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '.'):
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // the accent that NFKD took off its letter
		default:
			b.WriteByte('-')
		}
	}
	return squeeze(b.String(), '-')
}

// unicodePart keeps a name readable in its own script, without what a file
// system or a reader could be misled by.
func unicodePart(s string) string {
	replaced := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|%`, r) {
			return '-'
		}
		return r
	}, cleanName(s))
	return squeeze(replaced, '-')
}

// cleanName drops controls, format characters (the bidirectional ones among
// them, with which "p12.exe" reads "exe.21p"), private and unassigned ones,
// makes every space a plain one, and cuts at maxFriendlyName units.
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

// squeeze makes one of each run of c.
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

// reserved tells the device names of Windows, which stay reserved whatever
// follows their first dot.
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

// cleanExt is an extension without its dot.
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

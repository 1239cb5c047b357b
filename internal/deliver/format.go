package deliver

import "fmt"

// Format is the encryption of a PKCS#12 file. The zero Format is [FormatLegacy],
// which every reader supports.
type Format string

const (
	// FormatLegacy is three-key 3DES with an HMAC-SHA-1 MAC.
	FormatLegacy Format = "legacy"
	// FormatModern is PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA-256, and an
	// HMAC-SHA-256 MAC. It is not PBMAC1, which no phone reads.
	FormatModern Format = "modern"
)

// ParseFormat parses "legacy" or "modern" from a form or URL. Everything else is an
// error, the empty string too.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case FormatLegacy, FormatModern:
		return f, nil
	}
	return "", fmt.Errorf("parsing file format %.20q: want %q or %q", s, FormatLegacy, FormatModern)
}

// Other returns the other format, which the person can choose after "wrong password".
func (f Format) Other() Format {
	if f == FormatModern {
		return FormatLegacy
	}
	return FormatModern
}

// FormatFor returns the format that a system is known to read. The platform is
// "ios", "android", "windows", "macos" or "linux", major its main version, 0 if
// unknown. Unknown systems get [FormatLegacy].
//
//	android  14 and later    modern  clip_share_server#48, ultimate-ca-manager#331
//	android  up to 13        legacy  strongswan-docs#5, home-assistant/android#3924
//	windows  11 and later    modern  reads PBES2 since 10 1809 and Server 2019
//	windows  10 and older    legacy  a browser says "NT 10.0" on Windows 10,
//	                                 and on Server 2016, which says "wrong password"
//	linux    any             modern  OpenSSL 1.1.1, NSS 3.87, GnuTLS 3.7, Java 12
//	ios      any             legacy  SHA-1 MAC and 3DES only up to iOS 17
//	macos    any             legacy  Keychain Access and "security import" fail on
//	                                 AES up to macOS 26 (rust-security-framework#216)
//
// Windows 11 sends "NT 10.0" too. Only a client hint distinguishes it: callers pass
// 11 when Sec-CH-UA-Platform-Version is 13 or more.
func FormatFor(platform string, major int) Format {
	switch {
	case platform == "android" && major >= 14,
		platform == "windows" && major >= 11,
		platform == "linux":
		return FormatModern
	}
	return FormatLegacy
}

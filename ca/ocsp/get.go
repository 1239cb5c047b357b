package ocsp

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// DecodeGET decodes the request in the path of a GET (RFC 6960 appendix A.1): the part
// after the address of the responder, undecoded from the request line. Clients agree on
// base64 only: slashes, plus signs and padding come plain, percent-encoded, encoded again
// by a proxy, in the alphabet for addresses (RFC 4648 section 5), or not at all, and lines
// may be broken as in PEM. The error wraps [ErrMalformed].
func DecodeGET(path string) ([]byte, error) {
	if len(path) > 4*MaxRequest {
		return nil, malformed(fmt.Sprintf("address of %d characters", len(path)))
	}
	for range 2 {
		if !strings.Contains(path, "%") {
			break
		}
		plain, err := url.PathUnescape(path)
		if err != nil {
			return nil, malformed("address is not in base64")
		}
		path = plain
	}
	// A client that joins the addresses carelessly sends two slashes; a request never
	// begins with one. A proxy that decodes + as in a form sends a space.
	path = strings.TrimLeft(path, "/")
	path = strings.NewReplacer("\r", "", "\n", "", "\t", "", "-", "+", "_", "/").Replace(path)
	path, padding, _ := strings.Cut(path, "=")
	if strings.Trim(padding, "= ") != "" {
		return nil, malformed("address is not in base64")
	}
	path = strings.ReplaceAll(path, " ", "+")
	raw, err := base64.RawStdEncoding.DecodeString(path)
	if err != nil {
		return nil, malformed("address is not in base64")
	}
	return raw, nil
}

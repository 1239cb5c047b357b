package certsrv

// ReadPage reads a page as the answer to a request for a certificate.
func ReadPage(body []byte) (number string, issued bool, err error) {
	p, err := parsePage(body)
	if err != nil {
		return "", false, err
	}
	o, err := p.outcome()
	return o.number, o.issued, err
}

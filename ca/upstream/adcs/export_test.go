package adcs

import "certportal/ca/upstream"

// ReadReply reads a SOAP message as the answer to a question for request known, or to a
// request for a certificate when that is empty.
func ReadReply(text []byte, known string) (upstream.Answer, error) {
	response, fault, err := parseReply(text)
	if err != nil {
		return upstream.Answer{}, err
	}
	if fault != nil {
		return upstream.Answer{}, fault.err()
	}
	return response.answer(known)
}

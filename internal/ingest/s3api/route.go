package s3api

import (
	"net/http"
	"net/url"
)

// route finds the operation that method and subresource name.
func (d *Door) route(q *request) error {
	if q.Method == http.MethodOptions {
		return refuse(http.StatusForbidden, "AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.")
	}
	switch {
	case q.bucket == "" && q.key == "":
		return d.routeService(q)
	case len(q.bucket) > maxBucket || q.bucket == "":
		return invalidBucketName(q.bucket)
	case q.key == "":
		return d.routeBucket(q)
	}
	return d.routeObject(q)
}

func (d *Door) routeService(q *request) error {
	switch q.Method {
	case http.MethodGet:
		return d.listBuckets(q)
	case http.MethodHead:
		q.w.WriteHeader(http.StatusOK)
		return nil
	}
	return notAllowed("The specified method is not allowed against this resource.", "GET, HEAD")
}

func (d *Door) routeBucket(q *request) error {
	// Records are taken for buckets of any name: what was put there can be listed.
	if q.Method != http.MethodGet && !validBucket(q.bucket) {
		return invalidBucketName(q.bucket)
	}
	switch q.Method {
	case http.MethodGet:
		return d.getBucket(q)
	case http.MethodHead:
		setHeader(q.w, "x-amz-bucket-region", region)
		q.w.WriteHeader(http.StatusOK)
		return nil
	case http.MethodPut:
		if sub := subresource(q.query, bucketSettings); sub != "" {
			return notImplemented("This log keeps no bucket settings (" + sub + "): set them on the destination bucket.")
		}
		return d.createBucket(q)
	case http.MethodDelete:
		return notAllowed(deletesNothing, "GET, HEAD, PUT")
	case http.MethodPost:
		if q.query.Has("delete") {
			return notAllowed(deletesNothing, "GET, HEAD, PUT")
		}
		return notImplemented("Uploads by HTML form (POST) are not supported: send the object by PUT.")
	}
	return notAllowed("The specified method is not allowed against this resource.", "GET, HEAD, PUT")
}

func (d *Door) routeObject(q *request) error {
	switch q.Method {
	case http.MethodGet, http.MethodHead:
		if sub := subresource(q.query, objectSettings); sub != "" {
			return notImplemented("This log does not answer " + sub + " for an object: GET and HEAD give the object's bytes, headers and metadata.")
		}
		return d.getObject(q)
	case http.MethodPut:
		switch {
		case isMultipart(q.query):
			return notImplemented(noMultipart)
		case q.Header.Get("X-Amz-Copy-Source") != "":
			return notImplemented("CopyObject is not supported: an audit log takes records from their senders only. GET the object and PUT it.")
		}
		if sub := subresource(q.query, objectSettings); sub != "" {
			return notImplemented("This log cannot change " + sub + " of an object: what was acked is never changed.")
		}
		return d.putObject(q)
	case http.MethodDelete:
		if isMultipart(q.query) {
			return notImplemented(noMultipart)
		}
		return notAllowed(deletesNothing, "GET, HEAD, PUT")
	case http.MethodPost:
		if isMultipart(q.query) {
			return notImplemented(noMultipart)
		}
		return notImplemented("POST is not supported for an object: send it by PUT, read it by GET.")
	}
	return notAllowed("The specified method is not allowed against this resource.", "GET, HEAD, PUT")
}

const (
	deletesNothing = "This is an audit log: it deletes nothing. Retention is the business of the destination bucket."
	noMultipart    = "Multipart uploads are not supported: a record is one PUT of up to 1 GiB. " +
		"Raise your client's multipart threshold (aws: s3.multipart_threshold = 1GB; rclone: --s3-upload-cutoff 1G; boto3: TransferConfig(multipart_threshold=2**30))."
)

func isMultipart(query url.Values) bool {
	return query.Has("uploads") || query.Has("uploadId") || query.Has("partNumber")
}

// subresource is the first of names that the query holds, or "".
func subresource(query url.Values, names []string) string {
	if len(query) == 0 {
		return ""
	}
	for _, name := range names {
		if query.Has(name) {
			return name
		}
	}
	return ""
}

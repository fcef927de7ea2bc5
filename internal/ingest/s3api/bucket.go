package s3api

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"indelible/internal/record"
)

// region is where every bucket is. Signatures may name any.
const region = "us-east-1"

// owner is who owns every bucket and object, as far as S3 asks.
const owner = "<Owner><ID>indelible</ID><DisplayName>indelible</DisplayName></Owner>"

// bucketSettings and objectSettings are the subresources that are not about the bytes of records.
var (
	bucketSettings = []string{"abac", "accelerate", "acl", "analytics", "cors", "encryption", "intelligent-tiering", "inventory",
		"lifecycle", "logging", "metadataConfiguration", "metadataTable", "metrics", "notification", "object-lock", "ownershipControls", "policy",
		"policyStatus", "publicAccessBlock", "replication", "requestPayment", "session", "tagging", "versioning", "versions", "website"}
	objectSettings = []string{"acl", "attributes", "encryption", "legal-hold", "renameObject", "restore", "retention", "select", "tagging", "torrent"}
)

// unset says which of S3's words mean "nothing was configured" for the subresources
// where that is the truth. Tools ask for them before they begin.
var unset = map[string]struct{ code, message string }{
	"cors":              {"NoSuchCORSConfiguration", "The CORS configuration does not exist"},
	"encryption":        {"ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found"},
	"lifecycle":         {"NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"},
	"object-lock":       {"ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"},
	"ownershipControls": {"OwnershipControlsNotFoundError", "The bucket ownership controls were not found"},
	"policy":            {"NoSuchBucketPolicy", "The bucket policy does not exist"},
	"policyStatus":      {"NoSuchBucketPolicy", "The bucket policy does not exist"},
	"publicAccessBlock": {"NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found"},
	"replication":       {"ReplicationConfigurationNotFoundError", "The replication configuration was not found"},
	"tagging":           {"NoSuchTagSet", "The TagSet does not exist"},
	"website":           {"NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"},
}

// empty are the documents that say the same in the other way S3 has.
var empty = map[string]string{
	"accelerate":     "<AccelerateConfiguration" + xmlns + "/>",
	"location":       "<LocationConstraint" + xmlns + "/>",
	"logging":        "<BucketLoggingStatus" + xmlns + "/>",
	"notification":   "<NotificationConfiguration" + xmlns + "/>",
	"requestPayment": "<RequestPaymentConfiguration" + xmlns + "><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
	"versioning":     "<VersioningConfiguration" + xmlns + "/>",
}

// getBucket lists a bucket or answers what tools ask about one.
func (d *Door) getBucket(q *request) error {
	switch sub := subresource(q.query, append([]string{"location", "uploads"}, bucketSettings...)); {
	case sub == "":
		return d.listObjects(q)
	case empty[sub] != "":
		writeXML(q, http.StatusOK, xmlHeader+empty[sub])
		return nil
	case unset[sub].code != "":
		return refuse(http.StatusNotFound, unset[sub].code, unset[sub].message)
	case sub == "uploads":
		writeXML(q, http.StatusOK, xmlHeader+"<ListMultipartUploadsResult"+xmlns+">"+element("Bucket", q.bucket)+
			"<KeyMarker/><UploadIdMarker/><MaxUploads>1000</MaxUploads><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
		return nil
	default:
		return notImplemented("This log does not answer " + sub + " for a bucket.")
	}
}

// createBucket agrees to any valid name: a bucket is there as soon as a record
// names it. A body that is no bucket's configuration is a record whose host
// named a bucket that is not known here, and must not be thrown away.
func (d *Door) createBucket(q *request) error {
	const most = 64 << 10 // bytes of a CreateBucketConfiguration, which is ignored
	if lengthless(q.Request) {
		return missingLength()
	}
	body, err := q.auth.Body(q.Request)
	if err != nil {
		return err
	}
	config, err := io.ReadAll(io.LimitReader(body, most+1))
	if err != nil {
		return err
	}
	if len(config) > most || !isBucketConfiguration(config) {
		return noBucketConfiguration(q.Host)
	}
	setHeader(q.w, "Location", "/"+q.bucket)
	setHeader(q.w, "Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// isBucketConfiguration reports whether body is empty or a CreateBucketConfiguration.
func isBucketConfiguration(body []byte) bool {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return true
	}
	var config struct {
		XMLName xml.Name `xml:"CreateBucketConfiguration"`
	}
	return xml.Unmarshal(body, &config) == nil
}

// lengthless reports whether a request does not say how long its body is. HTTP
// takes it for one without a body, whatever its sender meant.
func lengthless(r *http.Request) bool {
	return r.ContentLength == 0 && len(r.Header["Content-Length"]) == 0 && len(r.TransferEncoding) == 0
}

// listBuckets lists the buckets that records named, in pages where the client asks for them.
func (d *Door) listBuckets(q *request) error {
	most, err := strconv.Atoi(q.query.Get("max-buckets"))
	if err != nil || most < 1 || most > 10000 {
		if q.query.Has("max-buckets") {
			return invalidArgument("max-buckets", q.query.Get("max-buckets"), "Argument max-buckets must be an integer between 1 and 10000")
		}
		most = 10000
	}
	prefix, after := q.query.Get("prefix"), ""
	if token := q.query.Get("continuation-token"); token != "" {
		var ok bool
		if after, ok = parseToken(token); !ok {
			return badToken(token)
		}
	}
	var found []record.Bucket
	for b, err := range d.records.Buckets(q.Context()) {
		if err != nil {
			return err
		}
		if b.Name > after && strings.HasPrefix(b.Name, prefix) {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b record.Bucket) int { return strings.Compare(a.Name, b.Name) })
	var doc strings.Builder
	doc.WriteString(xmlHeader + "<ListAllMyBucketsResult" + xmlns + ">" + owner + "<Buckets>")
	for _, b := range found[:min(most, len(found))] {
		doc.WriteString("<Bucket>" + element("Name", b.Name) + element("CreationDate", b.Since.UTC().Format(isoTime)) +
			element("BucketRegion", region) + "</Bucket>")
	}
	doc.WriteString("</Buckets>")
	if len(found) > most {
		doc.WriteString(element("ContinuationToken", makeToken(found[most-1].Name)))
	}
	if prefix != "" {
		doc.WriteString(element("Prefix", prefix))
	}
	doc.WriteString("</ListAllMyBucketsResult>")
	writeXML(q, http.StatusOK, doc.String())
	return nil
}

"""What several tests share: small models, videos and batches made for tests, golden arrays."""

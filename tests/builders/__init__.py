"""Builders of the inputs that several test modules use: data sets, faces, models, videos and inputs of batch jobs."""
